#!/usr/bin/env bash
# test_server.sh - the private Dovecot does what the suites that use it rely on
. "$(dirname "$0")/../lib/suite.sh"
suite server
command -v dovecot >/dev/null || [ -x /usr/sbin/dovecot ] || skip_suite "Dovecot is not installed"

dir=$SUITE_TMP/dovecot
server=$SUITE_ROOT/tests/dovecot/server
fill=$SUITE_ROOT/tests/dovecot/fill
client=$SUITE_ROOT/tests/lib/imapclient.py
at_exit "$server" stop "$dir"

messages() { # MAILBOX
    timeout 60 "$client" "$dir" status "$1" | sed -nE 's/.*"messages": ([0-9]+).*/\1/p'
}

check "it starts" "$server" start "$dir" --hide MOVE,UIDPLUS --separator /
check "messages are put in" "$fill" "$dir" --nasty --no-big --mailbox 'A/Größe'
/usr/bin/python3 "$SUITE_ROOT/tests/data/nasty.py" --no-big "$SUITE_TMP/nasty" >/dev/null
"$client" "$dir" dump 'A/Gr&APYA3w-e' >"$SUITE_TMP/dump"
lawful=$(grep -vc '"exact": false' "$SUITE_TMP/nasty/manifest.jsonl")
held=0
while read -r sum; do
    if grep -q "$sum" "$SUITE_TMP/dump"; then held=$((held + 1)); fi
done < <(grep -v '"exact": false' "$SUITE_TMP/nasty/manifest.jsonl" | sed -nE 's/.*"sha256": "([0-9a-f]+)".*/\1/p')
check_equal "it holds every nasty message byte for byte" "$lawful" "$held"
check "many small messages are put in" "$fill" "$dir" --generate 1000 --mailbox Many --flags '\Seen'
check_equal "and all of them are there" 1000 "$(messages Many)"
"$client" "$dir" raw CAPABILITY >"$SUITE_TMP/capabilities"
check_not "a hidden capability is not announced" grep -qw MOVE "$SUITE_TMP/capabilities"
check "the others are" grep -qw CONDSTORE "$SUITE_TMP/capabilities"
check "it answers for the quota" "$client" "$dir" raw 'GETQUOTAROOT INBOX'
check "another UIDVALIDITY is to be had" "$client" "$dir" recreate Many
check_equal "and then the mailbox is empty" 0 "$(messages Many)"

ports=$(grep PORT "$dir/env")
"$server" freeze "$dir"
check_not "frozen, it does not answer" timeout 1 "$client" "$dir" status INBOX
"$server" thaw "$dir"
check_equal "thawed, it does" 0 "$(messages INBOX)"
pids=$("$server" pids "$dir" | tr '\n' ' ')
"$server" kill "$dir"
# shellcheck disable=SC2086 # a list of numbers
check_not "killed, none of its processes is left" ps -p ${pids// /,}0
check "it starts again" "$server" restart "$dir"
check_equal "on the same ports" "$ports" "$(grep PORT "$dir/env")"
check_equal "with the same mail" "$(wc -l <"$SUITE_TMP/dump")" "$(messages 'A/Gr&APYA3w-e')"
check "it stops" "$server" stop "$dir"
check_not "and leaves nothing" test -e "$dir"
suite_end
