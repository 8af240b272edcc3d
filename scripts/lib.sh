# shellcheck shell=bash
# lib.sh - shared by the scripts here: saying things, counting what tests report, and ending what runs too long.

# Sums over everything that was run.
PASSED=0 FAILED=0 SKIPPED=0
FAILED_NAMES=()
RUNNING_GROUP='' RUNNING_OUTPUT=''

say() {
    printf '== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# Prints a script's own head comment.
print_usage() { # SCRIPT
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$1"
}

# Reads a program's output and prints "passed failed skipped", or nothing if it never said how it went.
# The plain closing line counts if it is the last such line; libcheck's closing lines are added up.
counts_of() { # FILE
    awk '
        /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
            closed = 1; passed = $1; failed = $3; skipped = (NF > 4) ? $5 : 0
        }
        /^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+$/ {
            checked = 1; split($0, n, /[^0-9]+/); all += n[2]; bad += n[3] + n[4]
        }
        END {
            if (closed) print passed, failed, skipped + 0
            else if (checked) print all - bad, bad, 0
        }' "$1"
}

# Runs a command in a process group of its own, without a terminal, and ends the whole group after SECONDS.
# Its exit status is the command's, or 124 when the time was up.
run_bounded() { # SECONDS COMMAND...
    local seconds=$1 status=0
    shift
    # Job control makes the group, and keeps ^C from being ignored in what is started here.
    set -m
    timeout --kill-after=30 "$seconds" "$@" </dev/null &
    RUNNING_GROUP=$!
    set +m
    wait "$RUNNING_GROUP" || status=$?
    RUNNING_GROUP=''
    return $status
}

# For traps: ends what run_bounded is running, and forgets what it said.
end_running() {
    if [ -n "$RUNNING_GROUP" ]; then
        kill -TERM -- "-$RUNNING_GROUP" 2>/dev/null || true
        wait "$RUNNING_GROUP" 2>/dev/null || true
    fi
    if [ -n "$RUNNING_OUTPUT" ]; then
        rm -f "$RUNNING_OUTPUT"
    fi
}

# Runs a test program or suite, counts what it reports, prints one line (and all of its output if it failed).
# A program that says nothing countable, or whose exit status disagrees with its counts, has failed.
run_counted() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2 output status=0 started=$SECONDS counts passed=0 failed=0 skipped=0 why=''
    shift 2
    output=$(mktemp "${TMPDIR:-/tmp}/imapfs-output.XXXXXX")
    RUNNING_OUTPUT=$output
    run_bounded "$seconds" "$@" >"$output" 2>&1 || status=$?
    counts=$(counts_of "$output")
    if [ -n "$counts" ]; then
        read -r passed failed skipped <<<"$counts"
    fi
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        why="was ended after $seconds s"
        failed=$((failed + 1))
    elif [ -z "$counts" ]; then
        why="stopped without saying how many tests passed (exit status $status)"
        failed=$((failed + 1))
    elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        why="exit status $status though nothing failed"
        failed=1
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    if [ "$failed" -gt 0 ]; then
        FAILED_NAMES+=("$name")
        cat "$output"
        printf 'FAILED %s: %d passed, %d failed, %d skipped, %d s%s\n' "$name" "$passed" "$failed" "$skipped" \
            $((SECONDS - started)) "${why:+; it $why}"
    else
        printf 'passed %s: %d passed, %d skipped, %d s\n' "$name" "$passed" "$skipped" $((SECONDS - started))
        grep '# SKIP' "$output" || true
    fi
    rm -f "$output"
    RUNNING_OUTPUT=''
}

# The closing line, and the exit status that goes with it.
print_totals() {
    printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
    [ "$FAILED" -eq 0 ]
}

# What the sanitizers' runtimes are told for programs that run in the foreground (suites have their own files).
export_sanitizer_options() { # ROOT
    export ASAN_OPTIONS="exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
    export LSAN_OPTIONS="suppressions=$1/tests/lsan.supp:print_suppressions=0"
    export UBSAN_OPTIONS="print_stacktrace=1"
    export TSAN_OPTIONS="exitcode=99:second_deadlock_stack=1:suppressions=$1/tests/tsan.supp"
}

# Debian names its tools with a version, other systems do not.
tool() { # NAME VERSION
    command -v "$1-$2" || command -v "$1" || true
}
