#!/usr/bin/env bash
# test_outage.sh - the server, the line or the mount goes away: callers get an error or are freed, never wrong bytes
# shellcheck disable=SC2317 # functions are called by check and wait_until
. "$(dirname "$0")/../lib/suite.sh"
suite outage
need_fuse
command -v dovecot >/dev/null || [ -x /usr/sbin/dovecot ] || skip_suite "Dovecot is not installed"

server=$SUITE_ROOT/tests/dovecot/server
proxy=$SUITE_ROOT/tests/fake/proxy.py
outage=$SUITE_ROOT/tests/fs/outage.py
D=$SUITE_TMP/dovecot P=$SUITE_TMP/proxy MNT=$SUITE_TMP/mnt
export HOME=$SUITE_TMP
BOUND=120 # seconds for what ends much sooner on its own

at_exit "$server" stop "$D"
at_exit "$proxy" stop "$P"
"$outage" make "$SUITE_TMP/small" 1 240 6000
"$outage" make "$SUITE_TMP/large" 1001 1008 2000000
"$outage" make "$SUITE_TMP/few" 2001 2003 1000
words=(--messages "$SUITE_TMP/small" --messages "$SUITE_TMP/large:Large")
for n in {1..9} {11..19}; do words+=(--messages "$SUITE_TMP/few:Far$n"); done
check "a server with known messages starts" "$server" start "$D" "${words[@]}"
# shellcheck disable=SC1091 # written by the server
PORT=$(. "$D/env" && echo "$IMAPS_PORT")
check "a line to it starts" "$proxy" start "$P" --to "$PORT"
SOURCE=demo@localhost:$(cat "$P/port")
COMMON="tls_ca=$D/tls/ca.pem,password_command=cat $D/password,state_dir=$SUITE_TMP/state,cache_dir=$SUITE_TMP/cache"

line() { # JSON: to the proxy
    "$proxy" ctl "$P" "$1" >>"$SUITE_TMP/line.log"
}
waiting() { # LEAST: so many system calls wait
    local n
    n=$(sed -nE 's/^ *"waiting": ([0-9]+),?$/\1/p' "$MNT/.imapfs/status.json")
    [ "${n:-0}" -ge "$1" ]
}
# readers COMMAND FILE...: one process for each; READERS are their pids, their words in $SUITE_TMP/reader.N
readers() {
    local verb=$1 n=0 file
    shift
    READERS=()
    for file in "$@"; do
        n=$((n + 1))
        "$outage" "$verb" "$file" >"$SUITE_TMP/reader.$n" 2>&1 &
        READERS+=($!)
    done
}
all_gone() {
    local pid
    for pid in "$@"; do process_is_gone "$pid" || return 1; done
}
# ended SENTENCE: all readers end, each with success
ended() {
    local pid bad=0
    if ! wait_until "$BOUND" all_gone "${READERS[@]}"; then
        not_ok "$1" "still there after $BOUND s: $(ps -o pid,stat,wchan:20,args -p "$(IFS=, && echo "${READERS[*]}")")" \
            "$(cat "$MNT/.imapfs/status")"
        for pid in "${READERS[@]}"; do kill -KILL "$pid" 2>/dev/null; done
        return
    fi
    for pid in "${READERS[@]}"; do wait "$pid" || bad=$((bad + 1)); done
    if [ "$bad" -eq 0 ]; then ok "$1"; else not_ok "$1" "$bad of ${#READERS[@]} did not" "$(cat "$SUITE_TMP"/reader.* | sort | uniq -c)"; fi
    rm -f "$SUITE_TMP"/reader.*
}
take() { # N: the next N uncached messages of INBOX, into TAKEN
    TAKEN=("${FILES[@]:NEXT:$1}")
    NEXT=$((NEXT + $1))
}
wholly() { # FILE...: readable, perhaps not at once
    wait_until "$BOUND" timeout 60 "$outage" verify "$@"
}
known() { # what must work with or without a server
    timeout "$BOUND" ls "$MNT/INBOX" >"$SUITE_TMP/ls" && [ "$(wc -l <"$SUITE_TMP/ls")" -eq 240 ] &&
        timeout "$BOUND" "$outage" verify "${CACHED[@]}" && timeout "$BOUND" stat -f "$MNT" &&
        timeout "$BOUND" stat "$MNT/INBOX" "${CACHED[0]}" "$MNT"
}

check "it is mounted over that line" run_mount "$MNT" "$SOURCE" -o "$COMMON,timeout=3,max_age=1"
mapfile -t FILES < <(find "$MNT/INBOX" -maxdepth 1 -name '*.eml' | sort -V)
check_equal "all messages are listed" 240 "${#FILES[@]}"
mapfile -t LARGE < <(find "$MNT/Large" -maxdepth 1 -name '*.eml' | sort)
check_equal "the large ones, too" 8 "${#LARGE[@]}"
NEXT=0
take 20
CACHED=("${TAKEN[@]}")
check "twenty are read" "$outage" verify "${CACHED[@]}"

note "the server is killed"
"$server" freeze "$D"
take 8
readers fail "${TAKEN[@]}"
check "eight readers wait for a frozen server" wait_until 60 waiting 8
"$server" kill "$D"
ended "killed, each of them gets an error"
check "what is known is there without a server" known
take 1
check "what is not known is an error" timeout "$BOUND" "$outage" fail "${TAKEN[0]}"
check_equal "that says that the server is away" 0 "$(grep -cvE '^(error|EHOSTDOWN|ETIMEDOUT|[^ ]+: (EHOSTDOWN|ETIMEDOUT))$' \
    <(timeout "$BOUND" "$outage" fail "${TAKEN[0]}" 2>&1))"
check "status says so" grep -q offline "$MNT/.imapfs/status"
check "the errors, too" grep -q . "$MNT/.imapfs/errors"
check "the server starts again" "$server" restart "$D"
check "and the mount works without help" wholly "${TAKEN[0]}"
"$server" kill "$D"
"$server" restart "$D" >"$SUITE_TMP/restart" 2>&1
take 2
check "killed and started while the mount idled, nobody notices for long" wholly "${TAKEN[@]}"

note "the line swallows everything"
line '{"op": "accept", "how": "hole"}'
line '{"op": "drop"}'
take 2
readers fail "${TAKEN[@]}"
ended "readers get an error within their time"
check "what is known is there" known
line '{"op": "accept", "how": "forward"}'
line '{"op": "drop"}'
check "the line is back, and all is read" wholly "${TAKEN[@]}"

note "the server refuses connections"
line '{"op": "accept", "how": "refuse"}'
line '{"op": "drop", "how": "rst"}'
take 2
readers fail "${TAKEN[@]}"
ended "readers get an error"
check "what is known is there once more" known
line '{"op": "accept", "how": "forward"}'
check "it accepts again, and all is read" wholly "${TAKEN[@]}"

note "the server is frozen"
"$server" freeze "$D"
take 4
readers fail "${TAKEN[@]}"
ended "readers get an error in the end"
check "what is known is there all the same" known
"$server" thaw "$D"
check "thawed, all is read" wholly "${TAKEN[@]}"
# Long patience: all of them have to be there at once, however slowly they start.
check "it is unmounted" unmount "$MNT"
check "and mounted with more patience" run_mount "$MNT" "$SOURCE" -o "$COMMON,timeout=900,max_age=1"
"$server" freeze "$D"
take 64
readers try "${TAKEN[@]}"
check "sixty-four readers wait" wait_until 60 waiting 48
check "a known directory is listed meanwhile" timeout "$BOUND" ls "$MNT/INBOX"
check "the root, too" timeout "$BOUND" ls "$MNT"
check "known mail is read meanwhile" timeout "$BOUND" "$outage" verify "${CACHED[@]}"
"$server" thaw "$D"
ended "thawed, each gets its message or an error"
check "and all is read" wholly "${TAKEN[@]}"
check "it is unmounted again" unmount "$MNT"
check "and mounted as before" run_mount "$MNT" "$SOURCE" -o "$COMMON,timeout=3,max_age=1"

note "the line breaks"
for how in cut rst half_close; do
    line "{\"op\": \"fault\", \"do\": \"$how\", \"after\": 300000}"
    large=${LARGE[0]} LARGE=("${LARGE[@]:1}")
    check "after 300,000 bytes ($how): no wrong byte, no early end" timeout "$BOUND" "$outage" try "$large"
    check "and then the whole message" wholly "$large"
done
line '{"op": "fault", "do": "stall", "after": 300000}'
check "a line that stops in a body" timeout "$BOUND" "$outage" try "${LARGE[0]}"
line '{"op": "clear"}'
check "is replaced" wholly "${LARGE[0]}"
LARGE=("${LARGE[@]:1}")
for after in 3000 9000 40000 700000; do
    line "{\"op\": \"fault\", \"do\": \"cut\", \"after\": $after, \"times\": 0}"
    take 6
    check "every line drops after $after bytes: no wrong byte" timeout "$BOUND" "$outage" try "${TAKEN[@]}" "${LARGE[0]}"
    line '{"op": "clear"}'
    line '{"op": "drop"}'
    check "and afterwards all is read" wholly "${TAKEN[@]}"
done
check "the large one, too" wholly "${LARGE[0]}"
LARGE=("${LARGE[@]:1}")

note "the mount itself stops for a while"
take 8
kill -STOP "$MOUNT_PID"
readers verify "${TAKEN[@]}"
kill -CONT "$MOUNT_PID"
ended "readers of a mount that was stopped are served when it goes on"
kill -STOP "$MOUNT_PID"
line '{"op": "drop"}'
kill -CONT "$MOUNT_PID"
take 2
check "also when the line went away meanwhile" wholly "${TAKEN[@]}"
check_equal "twenty cached messages were never fetched again, nor was anything wrong" 20 \
    "$("$outage" verify "${CACHED[@]}" | grep -c whole)"

note "the mount is ended while readers wait"
"$server" freeze "$D"
take 4
readers try "${TAKEN[@]}"
check "readers wait" wait_until 60 waiting 4
kill -TERM "$MOUNT_PID"
check "SIGTERM ends the mount" wait_until "$BOUND" process_is_gone "$MOUNT_PID"
check_not "nothing is mounted" is_mounted "$MNT"
ended "and its readers"
"$server" thaw "$D"
unset 'SUITE_MOUNT_PID[$MNT]'

check "mounted again" run_mount "$MNT" "$SOURCE" -o "$COMMON,timeout=3,max_age=1"
"$server" freeze "$D"
take 4
readers try "${TAKEN[@]}"
check "readers wait again" wait_until 60 waiting 4
check "the mount can be detached" fusermount3 -uz "$MNT"
ended "its readers end"
check "and so does the mount" wait_until "$BOUND" process_is_gone "$MOUNT_PID"
"$server" thaw "$D"
unset 'SUITE_MOUNT_PID[$MNT]'

note "the mount is killed"
check "mounted once more" run_mount "$MNT" "$SOURCE" -o "$COMMON,timeout=3,max_age=1"
"$server" freeze "$D"
take 4
readers fail "${TAKEN[@]}" "$MNT/Far9/none.eml"
check "readers wait on it" wait_until 60 waiting 4
kill -KILL "$MOUNT_PID"
ended "killed, each caller gets an error"
"$server" thaw "$D"
unset 'SUITE_MOUNT_PID[$MNT]'
check "fusermount3 -u clears the place" fusermount3 -u "$MNT"
# connections=1, so that all wait on the one line that is already there, whose time is long.
check "it is mounted again on what the killed one left" run_mount "$MNT" "$SOURCE" -o "$COMMON,timeout=900,max_age=1,connections=1"
check "everything read before is right" "$outage" verify "${CACHED[@]}"
check "and what was being read" wholly "${TAKEN[@]}"
check_equal "no message is lost or doubled" 240 "$(find "$MNT/INBOX" -maxdepth 1 -name '*.eml' | wc -l)"

note "callers are freed by a signal"
# Each is blocked in another system call; nothing but the signal can end them before 900 s.
freed() { # SIGNAL MAILBOXES: of those nothing is known yet
    local signal=$1 far=$MNT/$2 pids=() pid n status wrong=()
    take 4
    line '{"op": "fault", "do": "stall", "times": 0}'
    cat "${TAKEN[0]}" >"$SUITE_TMP/null" & pids+=($!)
    head -c 1 "$MNT/INBOX/.uid/$((240 - FREED)).eml" >"$SUITE_TMP/null" & pids+=($!)
    ls "${far}1" >"$SUITE_TMP/null" & pids+=($!)
    ls -l "${far}2" >"$SUITE_TMP/null" & pids+=($!)
    find "${far}3" -newer / >"$SUITE_TMP/null" & pids+=($!)
    stat "${far}4/none.eml" >"$SUITE_TMP/null" & pids+=($!)
    getfattr -n user.imap.flags "${far}5/none.eml" >"$SUITE_TMP/null" & pids+=($!)
    du -s "${far}6" >"$SUITE_TMP/null" & pids+=($!)
    grep -r fox "${far}7" >"$SUITE_TMP/null" & pids+=($!)
    tar -cf "$SUITE_TMP/tar" -C "$MNT" "${far##*/}8" & pids+=($!)
    cp -a "${far}9" "$SUITE_TMP/copy" & pids+=($!)
    dd if="${TAKEN[1]}" of="$SUITE_TMP/null" status=none & pids+=($!)
    check "twelve callers wait ($signal)" wait_until 60 waiting 12
    for pid in "${pids[@]}"; do kill "-$signal" "$pid"; done
    check "SIG$signal frees them all" wait_until "$BOUND" all_gone "${pids[@]}"
    n=0
    for pid in "${pids[@]}"; do
        n=$((n + 1)) status=0
        wait "$pid" 2>/dev/null || status=$?
        [ "$status" -ge 128 ] || wrong+=("number $n ended with $status")
    done
    check_equal "none of them ended in another way ($signal)" '' "${wrong[*]}"
    check "and the mount has forgotten them ($signal)" wait_until 60 none_waits
    FREED=$((FREED + 1))
    line '{"op": "clear"}'
    check "on a line that goes on, all is read ($signal)" wholly "${TAKEN[@]}"
}
none_waits() { grep -qE '"waiting": 0,?$' "$MNT/.imapfs/status.json"; }
FREED=0
freed TERM Far
freed KILL Far1
# ^C: what a script starts in the background ignores SIGINT, what a terminal waits for does not.
line '{"op": "fault", "do": "stall", "times": 0}'
take 1
/usr/bin/python3 -c 'import signal, sys, os
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' cat "${TAKEN[0]}" >"$SUITE_TMP/null" 2>&1 &
pid=$!
check "a reader waits" wait_until 60 waiting 1
kill -INT "$pid"
check "SIGINT frees it" wait_until "$BOUND" process_is_gone "$pid"
line '{"op": "clear"}'
line '{"op": "drop"}'
check "what nobody waited for any more is read now" wholly "${TAKEN[@]}"
check_equal "and every other mailbox is there" 54 "$(find "$MNT"/Far* -name '*.eml' | wc -l)"
check "it unmounts" unmount "$MNT"
suite_end
