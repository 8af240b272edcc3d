# shellcheck shell=bash
# suite.sh - what every system suite is built from. A suite is an executable tests/<folder>/test_<name>.sh:
#
#   #!/usr/bin/env bash
#   # test_names.sh - what the suite is about
#   . "$(dirname "$0")/../lib/suite.sh"
#   suite names
#   check "the mount lists INBOX" test -d "$SUITE_TMP/mnt/INBOX"
#   suite_end
#
# After `suite NAME`:
#   $SUITE_TMP       a fresh folder, removed at the end       $SUITE_ROOT   the top of the source tree
#   $IMAPFS_BUILD    where imapfs and imapfsctl are           $IMAPFS_SAN   "", "address" or "thread"
#
# Saying how it went (each prints one line and counts):
#   ok SENTENCE                      not_ok SENTENCE [LINE...]            skip SENTENCE WHY
#   check SENTENCE COMMAND...        ok when the command succeeds; its output is shown when it does not
#   check_not SENTENCE COMMAND...    ok when the command fails
#   check_equal SENTENCE WANT GOT    ok when both strings are the same
#   note LINE...                     a comment in the output, counted as nothing
#   skip_suite WHY                   ends the suite as skipped
#
# Doing things:
#   wait_until SECONDS COMMAND...    tries the command until it succeeds; fails after SECONDS
#   at_exit COMMAND...               runs at the end, the last one first, however the suite ends
#   need_fuse                        skips the suite when this machine cannot mount
#   run_mount DIR SOURCE [ARG...]    imapfs -f ARG... SOURCE DIR in the background; returns when it is mounted.
#                                    Sets MOUNT_PID and MOUNT_LOG. Undone at the end of the suite by itself
#   unmount DIR                      fusermount3 -u, waits for the process; fails if it had to be killed
#   is_mounted DIR                   asks the kernel's table, never the mount itself
#   end_process PID [SECONDS]        TERM, then KILL, then waits
#
# The suite closes with `N passed, N failed, N skipped` and exits with 1 if anything failed. A suite that stops
# before suite_end has failed. In a sanitizer build every report of any process started here is one failure more.
set -u

SUITE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SUITE_PASSED=0 SUITE_FAILED=0 SUITE_SKIPPED=0
SUITE_NAME='' SUITE_TMP='' SUITE_ENDED=no SUITE_DEPTH=0
SUITE_AT_EXIT=()
SUITE_MOUNTS=()
declare -A SUITE_MOUNT_PID=()
IMAPFS_SAN=${IMAPFS_SAN:-}
MOUNT_PID='' MOUNT_LOG=''

suite() {
    SUITE_NAME=$1
    if [ -z "${IMAPFS_BUILD:-}" ]; then
        case $IMAPFS_SAN in
        address) IMAPFS_BUILD=$SUITE_ROOT/build/asan ;;
        thread) IMAPFS_BUILD=$SUITE_ROOT/build/tsan ;;
        *) IMAPFS_BUILD=$SUITE_ROOT/build ;;
        esac
    fi
    SUITE_TMP=$(mktemp -d "${TMPDIR:-/tmp}/imapfs-suite.XXXXXX") || exit 1
    chmod 711 "$SUITE_TMP" # servers run as another user where root starts them
    mkdir "$SUITE_TMP/reports"
    sanitizer_options "$SUITE_TMP/reports/san"
    export IMAPFS_BUILD IMAPFS_SAN
    export PYTHONDONTWRITEBYTECODE=1
    trap suite_leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    printf '# suite %s\n' "$SUITE_NAME"
}

# Options for the sanitizers' runtimes. Reports go to files, because a mount in the background has no terminal;
# harmless in a plain build.
sanitizer_options() { # PATH_PREFIX
    local supp=$SUITE_ROOT/tests
    export ASAN_OPTIONS="log_path=$1:exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
    export LSAN_OPTIONS="suppressions=$supp/lsan.supp:print_suppressions=0"
    export UBSAN_OPTIONS="log_path=$1:print_stacktrace=1"
    export TSAN_OPTIONS="log_path=$1:exitcode=99:second_deadlock_stack=1:suppressions=$supp/tsan.supp"
}

note() {
    printf '# %s\n' "$@"
}

ok() {
    SUITE_PASSED=$((SUITE_PASSED + 1))
    printf 'ok - %s\n' "$1"
}

not_ok() {
    SUITE_FAILED=$((SUITE_FAILED + 1))
    printf 'not ok - %s\n' "$1"
    shift
    if [ $# -gt 0 ]; then
        printf '%s\n' "$@" | head -n 200 | sed 's/^/#   /'
    fi
}

skip() {
    SUITE_SKIPPED=$((SUITE_SKIPPED + 1))
    printf 'ok - %s # SKIP %s\n' "$1" "${2:-}"
}

skip_suite() {
    skip "$SUITE_NAME" "$1"
    suite_end
}

check() {
    local sentence=$1 status=0 output=$SUITE_TMP/output.$((SUITE_DEPTH += 1))
    shift
    # In this shell, so that what a function sets (run_mount) is still there afterwards.
    "$@" >"$output" 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ]; then
        ok "$sentence"
    else
        not_ok "$sentence" "\$ $*" "$(cat "$output")" "(exit status $status)"
    fi
    SUITE_DEPTH=$((SUITE_DEPTH - 1))
}

check_not() {
    local sentence=$1 output=$SUITE_TMP/output.$((SUITE_DEPTH += 1))
    shift
    if "$@" >"$output" 2>&1 </dev/null; then
        not_ok "$sentence" "\$ $*" "$(cat "$output")" "(it succeeded, and should not have)"
    else
        ok "$sentence"
    fi
    SUITE_DEPTH=$((SUITE_DEPTH - 1))
}

check_equal() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1" "wanted: $2" "got:    $3"
    fi
}

wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            return 1
        fi
        sleep 0.05
    done
}

at_exit() {
    SUITE_AT_EXIT+=("$(printf '%q ' "$@")")
}

end_process() {
    local pid=$1 seconds=${2:-10}
    kill -TERM "$pid" 2>/dev/null || return 0
    if ! wait_until "$seconds" process_is_gone "$pid"; then
        kill -KILL "$pid" 2>/dev/null
        wait_until 10 process_is_gone "$pid"
    fi
    wait "$pid" 2>/dev/null
    return 0
}

# Gone, or only waiting for its parent to look: both will do nothing any more.
process_is_gone() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    case ${stat##*) } in
    Z* | X*) return 0 ;;
    esac
    return 1
}

# ---- mounts ---------------------------------------------------------------------------------------------------

need_fuse() {
    local why
    if ! why=$("$SUITE_ROOT/scripts/fuse-ready" 2>&1); then
        skip_suite "$why"
    fi
}

is_mounted() {
    local dir
    dir=$(realpath -ms -- "$1")
    # Field 5 of mountinfo is the mount point, with blanks written as \040.
    SUITE_DIR=${dir// /\\040} awk '$5 == ENVIRON["SUITE_DIR"] { found = 1 } END { exit !found }' \
        /proc/self/mountinfo
}

run_mount() {
    local dir=$1 source=$2
    shift 2
    mkdir -p "$dir"
    MOUNT_LOG=$SUITE_TMP/mount-${#SUITE_MOUNTS[@]}.log
    "$IMAPFS_BUILD/imapfs" -f "$@" "$source" "$dir" >"$MOUNT_LOG" 2>&1 </dev/null &
    MOUNT_PID=$!
    SUITE_MOUNTS+=("$dir")
    SUITE_MOUNT_PID[$dir]=$MOUNT_PID
    wait_until 60 mounted_or_gone "$dir" "$MOUNT_PID"
    if ! is_mounted "$dir"; then
        note "$dir was not mounted; imapfs said:"
        sed 's/^/#   /' "$MOUNT_LOG"
        end_process "$MOUNT_PID"
        return 1
    fi
}

mounted_or_gone() {
    is_mounted "$1" || process_is_gone "$2"
}

unmount() {
    local dir=$1 pid=${SUITE_MOUNT_PID[$1]:-} clean=0
    unset "SUITE_MOUNT_PID[$dir]"
    if is_mounted "$dir" && ! wait_until 20 fusermount3 -u "$dir" && is_mounted "$dir"; then
        note "$dir could not be unmounted in 20 s and was detached: $(fusermount3 -uz "$dir" 2>&1)"
        clean=1
    fi
    if [ -n "$pid" ]; then
        if ! wait_until 60 process_is_gone "$pid"; then
            note "imapfs (pid $pid) was still there 60 s after its unmount and was killed"
            end_process "$pid"
            clean=1
        fi
        wait "$pid" 2>/dev/null
    fi
    return $clean
}

# ---- the end ----------------------------------------------------------------------------------------------------

suite_end() {
    SUITE_ENDED=yes
    exit 0
}

suite_leave() {
    local status=$? i
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    if [ "$SUITE_ENDED" = no ]; then
        not_ok "suite $SUITE_NAME runs to its end" "it stopped with exit status $status"
    fi
    for ((i = ${#SUITE_MOUNTS[@]} - 1; i >= 0; i--)); do
        if [ -n "${SUITE_MOUNT_PID[${SUITE_MOUNTS[i]}]:-}" ]; then
            unmount "${SUITE_MOUNTS[i]}" || not_ok "${SUITE_MOUNTS[i]##*/} unmounts cleanly"
        fi
    done
    for ((i = ${#SUITE_AT_EXIT[@]} - 1; i >= 0; i--)); do
        eval "${SUITE_AT_EXIT[i]}"
    done
    suite_count_reports
    cd /
    rm -rf --one-file-system "$SUITE_TMP"
    printf '%d passed, %d failed, %d skipped\n' "$SUITE_PASSED" "$SUITE_FAILED" "$SUITE_SKIPPED"
    if [ "$SUITE_FAILED" -gt 0 ]; then
        exit 1
    fi
    exit 0
}

suite_count_reports() {
    local report
    for report in "$SUITE_TMP"/reports/*; do
        if [ -s "$report" ]; then
            not_ok "no sanitizer has anything to report (process ${report##*.})" "$(cat "$report")"
        fi
    done
    # Some runtimes write to standard error whatever they are told.
    for report in "$SUITE_TMP"/mount-*.log; do
        if [ -e "$report" ] && grep -qE 'runtime error: |(ERROR|WARNING): [A-Za-z]*Sanitizer' "$report"; then
            not_ok "no sanitizer has anything to report (${report##*/})" "$(cat "$report")"
        fi
    done
}
