#!/usr/bin/env bash
# test_runner.sh - the scripts that run tests count honestly: what crashes, hangs or stays silent has failed
# shellcheck disable=SC2016 # programs are passed as text
. "$(dirname "$0")/../lib/suite.sh"
suite runner
cd "$SUITE_ROOT" || exit 1

# Runs a program through run_counted, as scripts/test does, and prints the closing line.
closing_line() { # SECONDS SHELL_TEXT
    printf '#!/usr/bin/env bash\n%s\n' "$2" >"$SUITE_TMP/program"
    chmod +x "$SUITE_TMP/program"
    bash -c '. scripts/lib.sh; run_counted program "$1" "$2"; print_totals' _ "$1" "$SUITE_TMP/program" | tail -n 1
}

check_equal "a closing line is counted" '2 passed, 0 failed, 1 skipped' \
    "$(closing_line 60 'echo "2 passed, 0 failed, 1 skipped"')"
check_equal "libcheck's closing lines are added up" '7 passed, 2 failed, 0 skipped' \
    "$(closing_line 60 'echo "80%: Checks: 5, Failures: 1, Errors: 0"; echo "75%: Checks: 4, Failures: 0, Errors: 1"; exit 1')"
check_equal "a program that says nothing has failed" '0 passed, 1 failed, 0 skipped' "$(closing_line 60 'exit 0')"
check_equal "a program that crashes before its closing line has failed" '0 passed, 1 failed, 0 skipped' \
    "$(closing_line 60 'echo "ok - one"; kill -SEGV $$')"
check_equal "a program that fails after a clean closing line has failed" '3 passed, 1 failed, 0 skipped' \
    "$(closing_line 60 'echo "3 passed, 0 failed, 0 skipped"; exit 99')"
check_equal "a program that hangs is ended and has failed" '0 passed, 1 failed, 0 skipped' \
    "$(closing_line 1 'sleep 3600 & echo $! >"${0%/*}/child"; wait')"
check "what a hanging program started is ended with it" wait_until 60 process_is_gone "$(cat "$SUITE_TMP/child")"

check "scripts/test --list names the suites" grep -qx house/runner <(scripts/test --list)
check_not "scripts/test refuses a name that nothing has" scripts/test --no-setup --only no-such-suite

# Small suites, run by the harness itself.
small_suite() { # SHELL_TEXT: prints its output, then its exit status
    printf '. "%s/tests/lib/suite.sh"\nsuite small\n%s\n' "$SUITE_ROOT" "$1" >"$SUITE_TMP/small.sh"
    local status=0
    TMPDIR=$SUITE_TMP bash "$SUITE_TMP/small.sh" 2>&1 || status=$?
    echo "exit status $status"
}
last_two() {
    small_suite "$1" | tail -n 2 | tr '\n' ';'
}
check_equal "a suite closes with its counts" '2 passed, 0 failed, 1 skipped;exit status 0;' \
    "$(last_two 'ok one; check two true; skip three why; suite_end')"
check_equal "a suite with a failure exits with 1" '0 passed, 2 failed, 0 skipped;exit status 1;' \
    "$(last_two 'check one false; check_not two true; suite_end')"
check_equal "a suite that stops early has failed" '1 passed, 1 failed, 0 skipped;exit status 1;' \
    "$(last_two 'ok one; exit 0')"
check_equal "a sanitizer's report fails the suite" '1 passed, 1 failed, 0 skipped;exit status 1;' \
    "$(last_two 'ok one; echo "ERROR: AddressSanitizer" >"$SUITE_TMP/reports/san.7"; suite_end')"
check_equal "equal strings pass and others do not" '1 passed, 1 failed, 0 skipped;exit status 1;' \
    "$(last_two 'check_equal one a a; check_equal two a b; suite_end')"
small_suite 'at_exit touch "$SUITE_TMP/../cleaned"; exit 3' >/dev/null
check "what a suite leaves to at_exit is done even when it stops early" test -e "$SUITE_TMP/cleaned"
check_equal "a suite leaves no folder behind" '' "$(find "$SUITE_TMP" -mindepth 1 -maxdepth 1 -name 'imapfs-suite.*')"
check_not "wait_until gives up" wait_until 0 false

# Mounting, with the smallest thing that mounts in the place of imapfs.
if why=$(scripts/fuse-ready 2>&1); then
    mkdir "$SUITE_TMP/bin"
    # shellcheck disable=SC2046 # words
    gcc -D_GNU_SOURCE -DFUSE_USE_VERSION=314 tests/house/tiny_mount.c -o "$SUITE_TMP/bin/imapfs" \
        $(pkg-config --cflags --libs fuse3)
    with_bin='IMAPFS_BUILD=$SUITE_TMP/../bin; d="$SUITE_TMP/a b";'
    check_equal "run_mount mounts and unmount ends it" '4 passed, 0 failed, 0 skipped;exit status 0;' \
        "$(last_two "$with_bin"'check mounts run_mount "$d" any -o x; check is is_mounted "$d"
            p=$MOUNT_PID; check unmounts unmount "$d"; check gone process_is_gone "$p"; suite_end')"
    check_equal "a mount that fails is told from one that works" '1 passed, 0 failed, 0 skipped;exit status 0;' \
        "$(last_two "$with_bin"'run_mount "$d" fail || ok refused; suite_end')"
    check_equal "a suite that stops unmounts what it mounted" '0 passed, 1 failed, 0 skipped;exit status 1;' \
        "$(last_two "$with_bin"'run_mount "$d" any; echo $MOUNT_PID >"$SUITE_TMP/../pid"; exit 0')"
    check "what it mounted has ended" process_is_gone "$(cat "$SUITE_TMP/pid")"
    check_not "nothing of it is mounted any more" grep -q "$SUITE_TMP" /proc/self/mountinfo
else
    skip "suites mount and unmount" "$why"
fi

# The sanitizers do report where the harness looks.
if [ "$IMAPFS_SAN" = address ]; then
    printf '%s\n' '#include <stdlib.h>' 'int main(int c, char **v) { char *p = malloc(4); (void)v; return p[c + 3]; }' |
        clang -g -fsanitize=address,undefined -x c -o "$SUITE_TMP/overrun" -
    check_equal "an overrun in a process of a suite fails the suite" '0 passed, 1 failed, 0 skipped;exit status 1;' \
        "$(last_two '"$SUITE_TMP/../overrun"; suite_end')"
    printf '%s\n' 'int main(int c, char **v) { (void)v; return (c + 0x7ffffffe) + c > 0; }' |
        clang -g -fsanitize=address,undefined -x c -o "$SUITE_TMP/overflow" -
    check_equal "an overflow in a process of a suite fails the suite" '0 passed, 1 failed, 0 skipped;exit status 1;' \
        "$(last_two '"$SUITE_TMP/../overflow"; suite_end')"
fi
suite_end
