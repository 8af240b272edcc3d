#!/usr/bin/env bash
# test_checks.sh - each check of scripts/lint finds what it is there to find, and passes what is right
# shellcheck disable=SC2317 # functions are called by check
. "$(dirname "$0")/../lib/suite.sh"
suite checks
cd "$SUITE_ROOT" || exit 1

# A small source tree of two rooms; each test changes one thing in a fresh copy.
tree=$SUITE_TMP/tree
fresh_tree() {
    rm -rf "$tree"
    mkdir -p "$tree/src/low" "$tree/src/high"
    printf '%s\n' '# rooms' 'low: | sqlite3 uni' 'high: low | fuse' >"$tree/src/LAYERS"
    printf '%s\n' '#ifndef LOW_A_H' '#define LOW_A_H' 'int low_a(int x);' '#endif' >"$tree/src/low/a.h"
    printf '%s\n' '#include "low/a.h"' '#include <sqlite3.h>' '#include <stdio.h>' >"$tree/src/low/a.c"
    printf '%s\n' '#include "low/a.h"' '#include <unistd.h>' '#include <fuse_lowlevel.h>' >"$tree/src/high/b.c"
}

says() { # TEXT COMMAND...: the command fails and its output has the text
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "succeeded: $output"
        return 1
    fi
    printf '%s\n' "$output"
    [[ $output == *"$text"* ]]
}

fresh_tree
check "check-layers passes a tree that keeps the rules" scripts/check-layers "$tree"
echo '#include "high/b.h"' >>"$tree/src/low/a.c"
check "check-layers names a room that includes what is above it" \
    says 'src/low/a.c:4: low may not include high' scripts/check-layers "$tree"
fresh_tree
echo '#include <sqlite3.h>' >>"$tree/src/high/b.c"
check "check-layers names a library in a room that it does not belong to" \
    says 'src/high/b.c:4: high may not include <sqlite3.h>' scripts/check-layers "$tree"
fresh_tree
echo '#include <unistr.h>' >>"$tree/src/high/b.c"
check "check-layers tells libunistring from <unistd.h>" \
    says 'high may not include <unistr.h>' scripts/check-layers "$tree"
fresh_tree
printf '%s\n' 'low: high |' 'high: low |' >"$tree/src/LAYERS"
check "check-layers refuses a cycle in src/LAYERS" says 'low names high' scripts/check-layers "$tree"
fresh_tree
mkdir "$tree/src/attic"
echo '#include <stdio.h>' >"$tree/src/attic/c.c"
check "check-layers names a folder that is no room" says 'src/attic is no room' scripts/check-layers "$tree"
fresh_tree
echo '#include "../low/a.h"' >>"$tree/src/high/b.c"
check "check-layers refuses a way around the room's name" says 'src/high/b.c:4' scripts/check-layers "$tree"

object_of() { # NAME: compiles standard input
    gcc -std=c11 -fPIE -fno-common -O0 -c -x c -o "$SUITE_TMP/$1.o" -
}
printf '%s\n' 'static const char *const names[] = {"a", "b"};' 'static _Thread_local int depth;' \
    'const char *name(int i) { depth++; return names[i]; }' | object_of clean
printf '%s\n' 'int next(void) { static int last; return ++last; }' | object_of bss
printf '%s\n' 'static int limit = 7; int *limit_of(void) { return &limit; }' | object_of data
check "check-globals passes constant tables and thread-locals" scripts/check-globals "$SUITE_TMP/clean.o"
check "check-globals names a static variable of a function" says 'last' scripts/check-globals "$SUITE_TMP/bss.o"
check "check-globals names an initialised variable" says 'limit' \
    scripts/check-globals "$SUITE_TMP/clean.o" "$SUITE_TMP/data.o"

fresh_tree
check "check-headers passes a header that stands alone" scripts/check-headers "$tree"
printf '%s\n' '#ifndef LOW_A_H' '#define LOW_A_H' 'size_t low_a(void);' '#endif' >"$tree/src/low/a.h"
check "check-headers names a header that needs another" says 'src/low/a.h does not compile alone' \
    scripts/check-headers "$tree"
printf '%s\n' 'struct low_a { int x; };' >"$tree/src/low/a.h"
check "check-headers names a header without a guard" says 'src/low/a.h does not compile alone' \
    scripts/check-headers "$tree"

text_tree() {
    rm -rf "$tree"
    mkdir -p "$tree/tests/data"
    printf 'all:\n\ttrue\n' >"$tree/Makefile"
    printf 'a\r\n \n\tb' >"$tree/tests/data/m.eml"
    printf 'fine\n' >"$tree/a.c"
}
text_tree
check "check-text passes what is right and leaves test data alone" scripts/check-text "$tree"
printf 'a\r\n' >"$tree/a.c"
check "check-text names CR LF line ends" says 'a.c: has CR LF' scripts/check-text "$tree"
printf 'a' >"$tree/a.c"
check "check-text names a missing final newline" says 'a.c: does not end' scripts/check-text "$tree"
printf 'a\nb \n' >"$tree/a.c"
check "check-text names blanks at the end of a line" says 'a.c:2: has blanks' scripts/check-text "$tree"
printf 'a\tb\n' >"$tree/a.c"
check "check-text names a tab outside a Makefile" says 'a.c:1: has a tab' scripts/check-text "$tree"

check "make says which package is missing, and what installs it" says 'libfuse3-dev' \
    env PKG_CONFIG_LIBDIR="$SUITE_TMP/none" make -n BUILD="$SUITE_TMP/none"
check "make says so in one sentence that names scripts/setup" says 'scripts/setup' \
    env PKG_CONFIG_LIBDIR="$SUITE_TMP/none" make -n BUILD="$SUITE_TMP/none"
check "make help works without any package" env PKG_CONFIG_LIBDIR="$SUITE_TMP/none" make help
help=$(make -s help)
unnamed=''
for target in all test check lint strict asan tsan analyze bench fuzz-smoke format format-check layers compdb install \
    uninstall man-lint clean dist help; do
    [[ $help == *"  $target "* ]] || unnamed="$unnamed $target"
done
check_equal "make help names every target" '' "$unnamed"
suite_end
