#!/usr/bin/env bash
# test_fake.sh - the fake server and the proxy do what the suites that use them rely on
. "$(dirname "$0")/../lib/suite.sh"
suite fake

dir=$SUITE_TMP/fake
imapd=$SUITE_ROOT/tests/fake/imapd.py
proxy=$SUITE_ROOT/tests/fake/proxy.py
client=$SUITE_ROOT/tests/lib/imapclient.py
at_exit "$imapd" stop "$dir"
at_exit "$proxy" stop "$SUITE_TMP/proxy"

ask() { # LINE
    timeout 60 "$client" "$dir" raw "$1" 2>&1
}
control() { # JSON
    "$imapd" ctl "$dir" "$1"
}
quirk() { # RULE
    control "{\"op\": \"quirks\", \"rules\": [$1]}" >"$SUITE_TMP/control"
}
said() { # SENTENCE COMMAND-LINE REGULAR-EXPRESSION
    ask "$2" >"$SUITE_TMP/said"
    check "$1" grep -qE -- "$3" "$SUITE_TMP/said"
}

check "it starts" "$imapd" start "$dir" --plain --scenario '{"mailboxes": [
    {"name": "INBOX", "messages": [{"body": "A: b\r\n\r\none\r\n", "flags": ["\\Seen"]}, {"body": "A: b\r\n\r\ntwo\r\n", "uid": 7}]},
    {"name": "Many", "generate": 100000}, {"hex": "ff20", "delimiter": null}]}'
check_equal "its messages are those of the scenario" '1 7' \
    "$("$client" "$dir" rows INBOX | sed -nE 's/.*"uid": ([0-9]+).*/\1/p' | tr '\n' ' ' | sed 's/ $//')"
check_equal "a mailbox of 100,000 is listed whole" 100000 "$("$client" "$dir" rows Many | wc -l)"
said "names are bytes" 'LIST "" "*"' $'NIL \xff '
quirk '{"on": "STATUS", "do": "tagged", "text": "{tag} NO [UNAVAILABLE] later"}'
said "a tagged line can be another" 'STATUS INBOX (MESSAGES)' 'UNAVAILABLE'
quirk '{"on": "STATUS", "nth": 2, "do": "close", "after_bytes": 9}'
said "a rule for the second time leaves the first alone" 'STATUS INBOX (MESSAGES)' 'MESSAGES 2'
said "and then cuts the answer" 'STATUS INBOX (MESSAGES)' 'connection closed'
quirk '{"on": "NOOP", "do": "insert", "text": "* XFOO {tag}\r\n", "repeat": 3}'
check_equal "untagged lines can be added" 3 "$(ask NOOP | grep -c XFOO)"
quirk '{"on": "UID FETCH", "do": "size", "add": 5, "uids": [7]}'
check_equal "a size can be a lie" '13 18' \
    "$("$client" "$dir" rows INBOX | sed -nE 's/.*"rfc822_size": ([0-9]+).*/\1/p' | tr '\n' ' ' | sed 's/ $//')"
quirk '{"on": "UID FETCH", "do": "body", "how": "other", "uid": 1}'
check_equal "a body can be that of another message" 1 \
    "$("$client" "$dir" dump INBOX | sed -nE 's/.*"sha256": "([0-9a-f]+)".*/\1/p' | sort -u | wc -l)"
quirk ''
control '{"op": "expunge", "mailbox": "INBOX", "uids": [1]}' >/dev/null
said "a message can go from outside" 'STATUS INBOX (MESSAGES UIDNEXT)' 'MESSAGES 1 UIDNEXT 8'
control '{"op": "uidvalidity", "mailbox": "INBOX", "value": 4294967297}' >/dev/null
said "UIDVALIDITY can be out of range" 'STATUS INBOX (UIDVALIDITY)' '4294967297'
check "commands are logged as they came" grep -qF 'STATUS INBOX (UIDVALIDITY)' "$dir/log"
check_not "passwords are not" grep -qF "$(cat "$dir/password")" "$dir/log"
check "commands are counted" grep -qE '"STATUS": [0-9]+' <(control '{"op": "counters"}')

# shellcheck disable=SC1091 # written by the server
. "$dir/env"
through() { # COMMAND...
    timeout 60 "$client" --host localhost --port "$(cat "$SUITE_TMP/proxy/port")" --plain --user "$USER" \
        --password-file "$PASSWORD_FILE" "$@"
}
check "the proxy starts" "$proxy" start "$SUITE_TMP/proxy" --to "$IMAP_PORT" --delay 1
through dump Many >"$SUITE_TMP/far"
"$client" "$dir" dump Many >"$SUITE_TMP/near"
check "what comes through the proxy is the same" cmp "$SUITE_TMP/near" "$SUITE_TMP/far"
"$proxy" ctl "$SUITE_TMP/proxy" '{"op": "fault", "do": "cut", "after": 100000}' >/dev/null
check_not "it cuts a connection after so many bytes" through rows Many
check "and only one" through status INBOX
suite_end
