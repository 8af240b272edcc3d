#!/usr/bin/env bash
# test_scale.sh - a mailbox of 100,000 messages and an account of 1,000 mailboxes
# shellcheck disable=SC2012 # what ls shows is the question
. "$(dirname "$0")/../lib/suite.sh"
suite scale
need_fuse
. "$SUITE_ROOT/tests/lib/ground.sh"
mnt=$SUITE_TMP/mnt
count=100000
if [ -n "$IMAPFS_SAN" ]; then
    count=20000
    note "a sanitizer build: $count messages, and memory is not judged"
fi
most_kib=65536
mailboxes=1000

start_dovecot server
fill server --generate $count --mailbox Big --how maildir --warm >"$SUITE_TMP/fill.log" || exit 1
total=$(oracle server rows Big | /usr/bin/python3 -c 'import json, sys
rows = [json.loads(line) for line in sys.stdin]
print(len(rows), sum(r["rfc822_size"] for r in rows))')
check_equal "the server holds the messages" $count "${total% *}"

names_and_sizes() { # the number of lines of ls -l with a name of a message, of different names, and the sum of their sizes
    ls -l "$mnt/Big" | awk '/\.eml$/ { n++; size += $5; if (!seen[$NF]++) names++ } END { print n, names, size }'
}
judge_memory() { # SENTENCE
    local peak
    if [ -n "$IMAPFS_SAN" ]; then
        skip "$1" "a sanitizer build"
        return
    fi
    peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$MOUNT_PID/status")
    note "$((peak / 1024)) MiB at most"
    check "$1" test "$peak" -lt $most_kib
}

# ---- the first time, again, and after a remount
check "the account is mounted" mount_of server "$mnt" -o max_age=1
check_equal "the first ls -l shows every message once, with its size" "$count $count ${total#* }" "$(names_and_sizes)"
whole=$(status_of "$mnt" bytes_received)
check_equal "each was fetched once" $count "$(status_of "$mnt" rows_fetched)"
judge_memory "the first listing takes less than 64 MiB"
check_equal "the second ls -l shows the same" "$count $count ${total#* }" "$(names_and_sizes)"
check_equal "and fetched nothing" $count "$(status_of "$mnt" rows_fetched)"
ls "$mnt/Big" | sort >"$SUITE_TMP/names"
check_equal "ls piped to head ends" 3 "$(ls -f "$mnt/Big" | head -n 3 | wc -l)"
check_equal "find piped to head ends" 3 "$(find "$mnt/Big" -type f | head -n 3 | wc -l)"
# shellcheck disable=SC2016 # a program for another shell
check "find -size looks at all of them" sh -c '[ "$(find "$1" -type f -size +0c | wc -l)" -eq "$2" ]' _ "$mnt/Big" $count
fill server --generate 3 --from $((count + 1)) --mailbox Big --how append >>"$SUITE_TMP/fill.log"
# shellcheck disable=SC2016 # a program for another shell
check "three new messages appear" wait_until 120 sh -c '[ "$(ls "$1" | wc -l)" -eq "$2" ]' _ "$mnt/Big" $((count + 3))
check_equal "only they were fetched" $((count + 3)) "$(status_of "$mnt" rows_fetched)"
oracle server expunge Big $((count + 1)) $((count + 2)) $((count + 3))
names_are_first() {
    ls "$mnt/Big" | sort | cmp - "$SUITE_TMP/names"
}
check "after they were deleted the others are there" wait_until 120 names_are_first
check "it is unmounted" unmount "$mnt"
check "it is mounted again" mount_of server "$mnt"
check_equal "after a remount ls -l shows the same" "$count $count ${total#* }" "$(names_and_sizes)"
check_equal "and no row was fetched" 0 "$(status_of "$mnt" rows_fetched)"
check "names are those of the first time" names_are_first
judge_memory "a listing of what is known takes less than 64 MiB"
check "it is unmounted" unmount "$mnt"

# ---- broken off in the midst: over a slow line, so that there is a midst
line=$SUITE_TMP/line
at_exit "$SUITE_ROOT/tests/fake/proxy.py" stop "$line"
"$SUITE_ROOT/tests/fake/proxy.py" start "$line" --to "$(env_of server IMAPS_PORT)" --rate $((count * 20)) || exit 1
mount_over_line() {
    run_mount "$mnt" "$(env_of server USER)@localhost:$(cat "$line/port")" -o "$(account_options server "$mnt")"
}
rm -rf "$mnt.state" "$mnt.cache"
rows_above() {
    rows=$(status_of "$mnt" rows_fetched)
    [ "$rows" -gt "$1" ]
}
check "it is mounted over a slow line, with nothing remembered" mount_over_line
ls -f "$mnt/Big" >"$SUITE_TMP/early" 2>/dev/null &
reader=$!
check "a first listing is under way" wait_until 120 rows_above $((count * 4 / 10))
check "the mount is killed before its end" test "$rows" -lt $count
kill -KILL "$MOUNT_PID"
wait "$MOUNT_PID" "$reader" 2>/dev/null
fusermount3 -uz "$mnt"
note "$rows of $count rows were there"
"$SUITE_ROOT/tests/fake/proxy.py" ctl "$line" '{"op": "set", "rate": 0}' >/dev/null
check "it is mounted again" mount_over_line
check_equal "the next listing is complete" "$count $count ${total#* }" "$(names_and_sizes)"
again=$(status_of "$mnt" bytes_received)
note "$again bytes came afterwards, $whole when nothing was known"
# Of what is known only the flags are asked again: less than half of what it was.
check "what was known was not fetched again" test "$again" -lt $((whole - whole * rows / count / 2))
check "names are those of the first time, in spite of all" names_are_first
check "it is unmounted" unmount "$mnt"

# ---- many mailboxes
printf 'Subject: Small\n\nOne of many.\n' >"$SUITE_TMP/small"
for ((i = 0; i < mailboxes; i++)); do
    printf 'small\tGroup %d/Box %d\t\t%d\n' $((i % 25)) $i $((1577836800 + i))
done >"$SUITE_TMP/index"
fill server --user other --index "$SUITE_TMP/index" >>"$SUITE_TMP/fill.log" || exit 1
check "an account of $mailboxes mailboxes is mounted" run_mount "$SUITE_TMP/many" "other@localhost:$(env_of server IMAPS_PORT)" \
    -o "$(account_options server "$SUITE_TMP/many")"
check_equal "find shows every mailbox" $mailboxes "$(find "$SUITE_TMP/many" -type d -name 'Box *' | wc -l)"
check_equal "and the message in each" $mailboxes "$(find "$SUITE_TMP/many" -type f | wc -l)"
check_equal "each in its own" $mailboxes "$(find "$SUITE_TMP/many" -type f -printf '%h\n' | sort -u | wc -l)"
check_equal "grep -r reads them all" $mailboxes "$(grep -r 'One of many' "$SUITE_TMP/many" | wc -l)"
judge_memory "it takes less than 64 MiB"
check "it is unmounted" unmount "$SUITE_TMP/many"
suite_end
