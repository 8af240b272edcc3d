#!/usr/bin/env bash
# test_hostile.sh - a server that lies, floods and breaks off gets nothing but an error: no wrong byte, no crash, no hang
# shellcheck disable=SC2317 # functions are called by check and wait_until
. "$(dirname "$0")/../lib/suite.sh"
suite hostile
need_fuse

imapd=$SUITE_ROOT/tests/fake/imapd.py
outage=$SUITE_ROOT/tests/fs/outage.py
TLS=$SUITE_TMP/tls S=$SUITE_TMP/server MNT=$SUITE_TMP/mnt
export HOME=$SUITE_TMP
BOUND=180 # seconds for what ends much sooner on its own
MOST_KB=200000 # of memory, whatever the server sends
check "certificates are made" "$SUITE_ROOT/tests/dovecot/server" certificates "$TLS"
"$SUITE_ROOT/tests/wire/hostile.py" >"$SUITE_TMP/scenario"
"$imapd" start "$S" --scenario "$SUITE_TMP/scenario" --tls "$TLS/good.pem" "$TLS/good.key"
at_exit "$imapd" stop "$S"
# shellcheck disable=SC1091 # written by the server
PORT=$(. "$S/env" && echo "$IMAPS_PORT")
options() { # NAME: with places of its own
    printf 'tls_ca=%s,password_command=cat %s,state_dir=%s,cache_dir=%s' "$TLS/ca.pem" "$S/password" "$SUITE_TMP/$1-s" "$SUITE_TMP/$1-c"
}
control() { "$imapd" ctl "$S" "$1" >>"$SUITE_TMP/control.log"; }
quirks() { control "{\"op\": \"quirks\", \"rules\": [$1]}"; }
files() { # MAILBOX: into FILES
    mapfile -t FILES < <(find "$MNT/$1" -maxdepth 1 -name '*.eml' | sort)
}
errors() { wc -l <"$MNT/.imapfs/errors"; }
judge() { # VERDICT... : try, and one of the verdicts
    local want=$1 got
    shift
    got=$(timeout "$BOUND" "$outage" try "$@" 2>"$SUITE_TMP/judged") || { cat "$SUITE_TMP/judged" && echo "$got" && return 1; }
    cat "$SUITE_TMP/judged"
    grep -qxE "$want" <<<"$got"
}
NEXT=0
# next_box: a mailbox that nobody has read; its files in FILES
next_box() {
    NEXT=$((NEXT + 1))
    files "$(printf 'Case%02d' "$NEXT")"
    BOXES+=("${FILES[@]}")
}
BOXES=()

# ---- sizes and bodies ----------------------------------------------------------------------------------------------

quirks '{"on": "LIST", "do": "insert", "text": "* LIST (\\HasNoChildren \"/\" \"Broken1\"\r\n* LIST () \"/\"\r\n* LIST () \"//\" Broken2\r\n* LIST () \"/\" {5}\r\nab\u0000cd\r\n* LIST ((((( \"/\" x\r\n* LIST NIL NIL NIL\r\n* LIST () \"/\" \"open\r\n* XFOO (bar) baz\r\n* ESEARCH (TAG \"zz\") UID ALL 1:99\r\n* OK\r\n* OK [ALERT] \u001b[31mpay\u0007\r\n"}'
check "odd LIST lines hide no mailbox: it mounts" run_mount "$MNT" "demo@localhost:$PORT" -o "$(options main),timeout=5,max_age=1"
quirks ''
check_equal "INBOX and all cases are there" 41 "$(find "$MNT" -maxdepth 1 \( -name INBOX -o -name 'Case??' \) | wc -l)"
check_equal "no name has a control character or leaves the mount" '' \
    "$(find "$MNT" -maxdepth 1 | LC_ALL=C grep -P '[\x00-\x1f\x7f]')"
check "and each is a directory" find "$MNT" -mindepth 1 -maxdepth 1 -type d -exec ls {} +
check_equal "whose message can be read: escaped, NUL, line end, dots, over-long, no UTF-7" 0 \
    "$(find "$MNT" -mindepth 1 -maxdepth 1 \( -name '*escape' -o -name '*red' -o -name '*nul' -o -name '*line' -o -name 'xxx*' \) \
        -exec sh -c 'timeout 100 "$0" verify "$1"/*.eml' "$outage" {} \; | grep -cv whole)"
for lie in Larger Smaller Zero Most; do
    files "Size$lie"
    check_equal "RFC822.SIZE $lie: six are listed" 6 "${#FILES[@]}"
    check "RFC822.SIZE $lie: open, fstat and read tell the truth" timeout "$BOUND" "$outage" verify "${FILES[0]}"
    cp "${FILES[0]}" "$SUITE_TMP/want"
    cp "${FILES[1]}" "$SUITE_TMP/copy"
    check "RFC822.SIZE $lie: cp takes all" "$outage" verify "$SUITE_TMP/copy"
    cat "${FILES[2]}" >"$SUITE_TMP/copy"
    check "RFC822.SIZE $lie: cat takes all" "$outage" verify "$SUITE_TMP/copy"
    check "RFC822.SIZE $lie: mmap shows all" timeout "$BOUND" "$outage" mapped "${FILES[3]}"
    tail -c 40 "${FILES[4]}" >"$SUITE_TMP/tail"
    check_equal "RFC822.SIZE $lie: tail shows the end" "$(tail -c 40 "${FILES[4]}" | tr -d '\r')" "$(tr -d '\r' <"$SUITE_TMP/tail")"
    check "RFC822.SIZE $lie: that end" grep -qE 'message [0-9]+ and its [0-9]+th line' "$SUITE_TMP/tail"
    check_equal "RFC822.SIZE $lie: stat agrees afterwards" "$(wc -c <"$SUITE_TMP/want")" "$(stat -c %s "${FILES[0]}")"
done
files Quoted
control '{"op": "quirk", "rule": {"on": "UID FETCH", "match": "BODY.PEEK\\[\\]", "do": "body", "how": "quoted"}}'
check_equal "a body as a quoted string is that body" 'Subject: all in one line' "$(cat "${FILES[0]}")"

body_case() { # HOW MORE WANTED-OF-UID-2 SENTENCE
    next_box
    quirks "{\"on\": \"UID FETCH\", \"match\": \"BODY.PEEK\\\\[\\\\]\", \"do\": \"body\", \"how\": \"$1\", \"uids\": [2]}${2:+, $2}"
    local second
    second=$MNT/Case$(printf %02d "$NEXT")/.uid/2.eml
    check "$4" judge "$3" "$second"
    check "$4: the others are read" timeout "$BOUND" "$outage" verify "${second/2.eml/1.eml}" "${second/2.eml/3.eml}"
    quirks ''
}
body_case nil '' error "BODY[] NIL is an error for that message"
check "that is EIO" grep -q EIO "$SUITE_TMP/judged"
check "and is told" grep -q 'UID 2' "$MNT/.imapfs/errors"
body_case empty '' error "an empty BODY[] is an error for that message"
body_case missing '' error "an answer without BODY[] is an error for that message"
body_case no_row '' error "no answer at all is an error for that message"
body_case before_uid '' whole "a body before its UID is taken right"
volunteer() { # UID
    printf '{"on": "UID FETCH", "match": "BODY.PEEK\\\\[\\\\]", "do": "volunteer", "uid": %d}' "$1"
}
body_case nil "$(volunteer 4)" error "another body, volunteered, is not taken for the one that is missing"
body_case before_uid "$(volunteer 1)" whole "nor for one that came"
body_case before_uid "$(volunteer 2)" whole "the same body twice is that body"
next_box
quirks '{"on": "UID FETCH", "match": "BODY.PEEK\\[\\]", "do": "unsolicited"}'
check "unasked FLAGS harm nothing" timeout "$BOUND" "$outage" verify "${FILES[@]}"
quirks ''

# ---- a connection that goes wrong ----------------------------------------------------------------------------------

# broken SENTENCE RULE: fetching bodies with that rule gives the truth or an error, and something is said
broken() {
    local before
    next_box
    before=$(errors)
    quirks "{\"on\": \"UID FETCH\", \"match\": \"BODY.PEEK\\\\[\\\\]\", $2}"
    check "$1: no wrong byte, no hang" judge 'error|whole' "${FILES[0]}"
    if grep -q : "$SUITE_TMP/judged"; then
        [ "$(errors)" -gt "$before" ] || grep -qE '\([0-9]+ times\)' "$MNT/.imapfs/errors" || grep -q 'offline' "$MNT/.imapfs/status" ||
            TOLD+=("$1")
    fi
    quirks ''
    control '{"op": "release"}'
    check "$1: the next is read" wait_until "$BOUND" timeout 60 "$outage" verify "${FILES[1]}"
    if process_is_gone "$MOUNT_PID"; then not_ok "$1: the mount lives" "$(tail -5 "$MOUNT_LOG")"; fi
}
TOLD=()
broken "a cut in the literal" '"do": "close", "after_bytes": 20000, "times": 3'
broken "a reset in the literal" '"do": "rst", "after_bytes": 20000, "times": 3'
broken "BYE in the literal" '"do": "bye", "after_bytes": 20000, "times": 3'
broken "a literal that stops" '"do": "stall", "after_bytes": 20000'
broken "a literal that trickles" '"do": "trickle", "bytes": 1, "every": 0.05'
broken "a flood of untagged lines" '"do": "insert", "text": "* OK still here\r\n", "repeat": 3000000'
broken "a flood of FETCH lines" '"do": "insert", "text": "* 1 FETCH (FLAGS (\\Seen))\r\n", "repeat": 1000000'
broken "a line of 200 MB" '"do": "insert", "text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeat": 4000000, "prefix": "* OK "'
broken "a literal of 4294967299" '"do": "insert", "text": "* 1 FETCH (UID 1 BODY[] {4294967299}\r\nabc)\r\n"'
broken "a literal of 18446744073709551619" '"do": "insert", "text": "* 1 FETCH (UID 1 BODY[] {18446744073709551619}\r\nabc)\r\n"'
broken "a literal of 2000000000 that never comes" '"do": "insert", "text": "* 1 FETCH (UID 1 BODY[] {2000000000}\r\nabc)\r\n"'
broken "a flag list that is a huge literal" '"do": "insert", "text": "* 1 FETCH (UID 1 FLAGS {2000000000}\r\nabc)\r\n"'
broken "30,000 parentheses" '"do": "insert", "text": "(", "repeat": 30000, "prefix": "* 1 FETCH ", "suffix": "\r\n"'
broken "a million tokens" '"do": "insert", "text": "a ", "repeat": 1500000, "prefix": "* 1 FETCH (", "suffix": ")\r\n"'
broken "a continuation that nobody asked for" '"do": "insert", "text": "+ go on\r\n"'
broken "an unknown tag" '"do": "tagged", "text": "zz OK done"'
broken "an early tagged OK" '"do": "insert", "text": "{tag} OK done\r\n"'
broken "bytes of no meaning" '"do": "insert", "hex": "00ff1b5b33316d0d0a2a200d0a2a2a2a0d0a"'
broken "unknown answers" '"do": "insert", "text": "* XFOO (bar {3}\r\nabc) baz\r\n* 99999999999 EXISTS\r\n* -1 FETCH ()\r\n* 1 FETCH (UID 0 FLAGS ())\r\n* VANISHED 1:4294967295\r\n"'
broken "goodbye in the midst" '"do": "bye", "text": "\u001b[31mlater\u0007", "times": 3'
broken "a tagged NO with an alert" '"do": "tagged", "text": "{tag} NO [ALERT] \u001b[2Jpay"'
broken "EXPUNGE of what is not there" '"do": "insert", "text": "* 4294967295 EXPUNGE\r\n* 0 EXPUNGE\r\n"'
check_equal "each failure was told in errors" '' "${TOLD[*]}"
check_not "no control character in errors" env LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$MNT/.imapfs/errors"
check_not "nor in the log" env LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$MOUNT_LOG"

# ---- listings --------------------------------------------------------------------------------------------------------

for name in ValidityZero ValidityNone ValidityBig UidsTwice UidsDown UidsBig; do
    check "$name: listed or refused" timeout "$BOUND" sh -c "ls '$MNT/$name' || true"
    files "$name"
    if [ ${#FILES[@]} -gt 0 ]; then
        check "$name: no wrong byte" judge 'error|whole' "${FILES[@]}"
    fi
done
next_box
control "{\"op\": \"uidvalidity\", \"mailbox\": \"$(printf 'Case%02d' "$NEXT")\", \"value\": 777}"
BOXES=("${BOXES[@]:0:$((${#BOXES[@]} - 4))}") # they have new names now
check "UIDVALIDITY that changes while selected: ESTALE or the truth" judge 'error|whole' "${FILES[@]}"
check "and afterwards the truth" wait_until "$BOUND" timeout 60 sh -c "'$outage' verify '$MNT/$(printf 'Case%02d' "$NEXT")'/*.eml"
next_box
quirks '{"on": "UID FETCH", "do": "uidvalidity", "value": 5}, {"on": "EXAMINE", "do": "uidvalidity", "value": 6}'
check "UIDVALIDITY that changes in each answer" judge 'error|whole' "${FILES[@]}"
quirks ''
quirks '{"on": "EXAMINE", "do": "insert", "text": "* OK [UIDNEXT 4294967297] x\r\n* OK [HIGHESTMODSEQ 99999999999999999999999] x\r\n* OK [UIDVALIDITY abc] x\r\n* FLAGS (((\r\n"}'
next_box
check "nonsense in an EXAMINE" judge 'error|whole' "${FILES[@]}"
quirks ''

# ---- before a mount stands ---------------------------------------------------------------------------------------------

# greeted SENTENCE STATUS SCENARIO MODE: a mount of such a server ends with that status (0: it is mounted and unmounted),
# and the password never travels without TLS
greeted() {
    local dir=$SUITE_TMP/greeted-$((++GREETED)) status=0 scheme=imap port canary
    "$imapd" start "$dir" --scenario "$3" "--$4" "$TLS/good.pem" "$TLS/good.key"
    port=$(sed -nE 's/^IMAPS?_PORT=//p' "$dir/env")
    [ "$4" = starttls ] || scheme=imaps
    mkdir -p "$SUITE_TMP/place"
    timeout -k 5 "$BOUND" "$IMAPFS_BUILD/imapfs" -o "$(options "g$GREETED"),timeout=3" "$scheme://demo@localhost:$port/" \
        "$SUITE_TMP/place" >"$SUITE_TMP/said" 2>&1 </dev/null || status=$?
    local pid
    pid=$(pgrep -f -- "^$IMAPFS_BUILD/imapfs .*$SUITE_TMP/place\$")
    if is_mounted "$SUITE_TMP/place"; then
        ls "$SUITE_TMP/place" >"$SUITE_TMP/names"
        fusermount3 -u "$SUITE_TMP/place"
        wait_until 60 process_is_gone "$pid"
        check_not "$1: no injected name is shown" grep -q Injected "$SUITE_TMP/names"
    fi
    check_equal "$1" "$2 1" "$([ "$status" -eq 0 ] && echo 0 || echo 1) $(grep -c '' "$SUITE_TMP/said" | sed 's/^0$/1/')"
    [ "$2" = 0 ] || check "$1: one sentence, cleaned" sh -c 'grep -q "^imapfs: " "$1" && ! LC_ALL=C grep -qP "[\x00-\x08\x0b-\x1f\x7f]" "$1"' - "$SUITE_TMP/said"
    canary=$("$imapd" ctl "$dir" '{"op": "counters"}')
    check "$1: no password without TLS" grep -q '"canary_before_tls": 0,' <(printf '%s\n' "$canary")
    if [ "$2" != 0 ]; then
        check "$1: nobody was logged in" grep -q '"logins": 0,' <(printf '%s\n' "$canary")
    fi
    "$imapd" stop "$dir"
}
GREETED=0
inject='* LIST () \"/\" Injected\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n'
greeted "a greeting of noise" 1 '{"greeting": "\u0000\u0001\u001b[31mnoise"}' tls
greeted "a greeting NO" 1 '{"greeting": "* NO \u001b[31mgo away"}' tls
greeted "a greeting of 200 MB" 1 '{"quirks": [{"on": "GREETING", "do": "insert", "text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeat": 4000000, "prefix": "* OK "}]}' tls
greeted "STARTTLS that is answered NO" 1 '{"starttls": "NO not today"}' starttls
greeted "STARTTLS that is answered BAD" 1 '{"starttls": "BAD what"}' starttls
greeted "PREAUTH before STARTTLS" 1 '{"greeting": "* PREAUTH welcome"}' starttls
greeted "goodbye before STARTTLS" 1 '{"greeting": "* BYE \u001b[31mgone"}' starttls
greeted "noise before STARTTLS" 1 '{"greeting": "220 hello"}' starttls
greeted "bytes behind the OK of STARTTLS" 1 "{\"starttls_inject\": \"$inject\"}" starttls
greeted "one byte behind it" 1 '{"starttls_inject": "*"}' starttls
greeted "a tagged OK before STARTTLS was sent" 1 '{"greeting": "* OK hi\r\na1 OK done"}' starttls
greeted "a continuation instead" 1 '{"quirks": [{"on": "STARTTLS", "do": "answer", "text": "+ go\r\n"}]}' starttls
greeted "another tag" 1 '{"quirks": [{"on": "STARTTLS", "do": "tagged", "text": "zz OK begin"}]}' starttls
greeted "silence after STARTTLS" 1 '{"quirks": [{"on": "STARTTLS", "do": "stall"}]}' starttls
greeted "untagged data before TLS are forgotten" 0 \
    "{\"greeting\": \"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\\r\\n${inject}* OK [ALERT] pay\", \"mailboxes\": [{\"name\": \"INBOX\"}]}" starttls
greeted "a referral is not followed" 1 '{"login": "NO [REFERRAL imap://demo@127.0.0.1/] elsewhere"}' starttls
greeted "LOGINDISABLED after TLS" 1 '{"before_login": ["IMAP4rev1", "LOGINDISABLED"]}' starttls
greeted "a million rounds of SCRAM" 1 '{"auth": ["SCRAM-SHA-256"], "iterations": 2000000000}' tls
greeted "a SCRAM server that does not know the password" 1 '{"auth": ["SCRAM-SHA-256"], "bad_signature": true, "login": "OK [CAPABILITY IMAP4rev1] in"}' tls
greeted "a login that is accepted too early" 1 '{"quirks": [{"on": "AUTHENTICATE", "do": "answer", "text": "{tag} OK in\r\n"}], "auth": ["SCRAM-SHA-256"]}' tls

# ---- the end of the long-lived mount ----------------------------------------------------------------------------------

# What was refused is asked for again after a while; then all that can be had is right.
all_read() {
    timeout 120 "$outage" verify "${BOXES[@]}" || { sleep 1 && return 1; }
}
check "in the end every message is read whole" wait_until "$BOUND" all_read
check "INBOX, too" timeout "$BOUND" sh -c "'$outage' verify '$MNT'/INBOX/*.eml"
kb=$(sed -nE 's/^VmHWM:\s+([0-9]+) kB/\1/p' "/proc/$MOUNT_PID/status")
note "most memory: $kb kB"
if [ -z "$IMAPFS_SAN" ]; then
    check "it never took more than $MOST_KB kB" test "$kb" -le "$MOST_KB"
fi
check "it unmounts" unmount "$MNT"
suite_end
