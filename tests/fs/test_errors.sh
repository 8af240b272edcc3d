#!/usr/bin/env bash
# test_errors.sh - what cannot be mounted says why in one sentence and leaves nothing behind; secrets stay secret
# shellcheck disable=SC2317 # functions are called by check
. "$(dirname "$0")/../lib/suite.sh"
suite errors
need_fuse

imapd=$SUITE_ROOT/tests/fake/imapd.py
here=$SUITE_ROOT/tests/fs
canary=secret-canary-7319
export HOME=$SUITE_TMP/home XDG_CONFIG_HOME=$SUITE_TMP/config XDG_STATE_HOME=$SUITE_TMP/xdg-state
export XDG_CACHE_HOME=$SUITE_TMP/xdg-cache
unset CREDENTIALS_DIRECTORY
mkdir -m 700 "$HOME" "$XDG_CONFIG_HOME" "$SUITE_TMP/mnt"
MNT=$SUITE_TMP/mnt
TLS=$SUITE_TMP/tls
LIMIT=60 # seconds for what the mount itself ends much sooner

check "certificates are made" "$SUITE_ROOT/tests/dovecot/server" certificates "$TLS"
printf '%s\n' "$canary" >"$SUITE_TMP/password"
printf 'not-it\n' >"$SUITE_TMP/wrong"
SCENARIO='{"mailboxes": [{"name": "INBOX", "messages": [
    {"body": "Subject: one\r\n\r\nthe first\r\n"},
    {"body": {"file": "'$SUITE_TMP'/large"}}]}]}'
{
    printf 'Subject: large\r\n\r\n'
    head -c 3000000 /dev/zero | tr '\0' x
    printf '\r\n'
} >"$SUITE_TMP/large"

# serve NAME SCENARIO MODE...: a fake server; its port is in PORT
serve() {
    local name=$1 scenario=$2
    shift 2
    "$imapd" start "$SUITE_TMP/$name" --scenario "$scenario" "$@" >"$SUITE_TMP/$name.out" 2>&1 ||
        not_ok "the fake server $name starts" "$(cat "$SUITE_TMP/$name.out")"
    at_exit "$imapd" stop "$SUITE_TMP/$name"
    PORT=$(sed -nE 's/^IMAPS?_PORT=//p' "$SUITE_TMP/$name/env")
}

# Options that would mount, given a sound server.
PLACES=state_dir=$SUITE_TMP/state,cache_dir=$SUITE_TMP/cache
TRUST=tls_ca=$TLS/ca.pem
ASK="password_command=cat $SUITE_TMP/password"
GOOD=$TRUST,$PLACES,$ASK,timeout=3

processes_of() { # DIR
    pgrep -f -- "^$IMAPFS_BUILD/imapfs .*$1\$"
}

# refused SENTENCE REGEX ARG...: imapfs ARG... fails with one sentence that matches. REFUSED_STATUS is the status
# wanted, REFUSED_MNT the mount point.
refused() {
    local sentence=$1 regex=$2 mnt=${REFUSED_MNT:-$MNT} status=0 wrong=()
    shift 2
    timeout -k 5 "$LIMIT" "$IMAPFS_BUILD/imapfs" "$@" >"$SUITE_TMP/said.out" 2>"$SUITE_TMP/said" </dev/null || status=$?
    [ "$status" -eq "${REFUSED_STATUS:-1}" ] || wrong+=("exit status $status, wanted ${REFUSED_STATUS:-1}")
    [ "$(grep -c '' "$SUITE_TMP/said")" -eq 1 ] || wrong+=("not one line")
    grep -qE '^imapfs: .' "$SUITE_TMP/said" || wrong+=("no line of imapfs")
    grep -qE -- "$regex" "$SUITE_TMP/said" || wrong+=("does not match: $regex")
    [ ! -s "$SUITE_TMP/said.out" ] || wrong+=("something on standard output")
    ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]' "$SUITE_TMP/said" ||
        wrong+=("control characters")
    ! grep -qF -- "$canary" "$SUITE_TMP/said" || wrong+=("the password")
    ! is_mounted "$mnt" || wrong+=("something is mounted")
    ! processes_of "$mnt" >/dev/null || wrong+=("a process is left")
    if [ ${#wrong[@]} -eq 0 ]; then
        ok "$sentence"
    else
        not_ok "$sentence" "${wrong[@]}" "standard error: $(cat -v "$SUITE_TMP/said")"
    fi
}

# both SENTENCE REGEX ARG...: in the foreground and in the background
both() {
    local sentence=$1 regex=$2
    shift 2
    refused "$sentence" "$regex" -f "$@"
    refused "$sentence (in the background)" "$regex" "$@"
}

# The one that takes its 30 seconds begins now and is looked at near the end.
serve good "$SCENARIO" --tls "$TLS/good.pem" "$TLS/good.key"
GOOD_PORT=$PORT
SOURCE=demo@localhost:$GOOD_PORT
mkdir "$SUITE_TMP/mnt-hanging"
"$IMAPFS_BUILD/imapfs" -f -o "$TRUST,$PLACES" -o "password_command=sleep 1000.$$" "$SOURCE" "$SUITE_TMP/mnt-hanging" \
    >"$SUITE_TMP/hanging" 2>&1 </dev/null &
HANGING=$!

note "the server"
refused_for() { # SENTENCE REGEX SCENARIO CERTIFICATE
    serve "server-$4-$((++SERVED))" "$3" --tls "$TLS/$4.pem" "$TLS/$4.key"
    refused "$1" "$2" -f -o "$GOOD" "demo@localhost:$PORT" "$MNT"
}
SERVED=0
both "a wrong password is refused" 'refused the (login|password)' -o "$TRUST,$PLACES,password_command=cat $SUITE_TMP/wrong" \
    "$SOURCE" "$MNT"
refused "an unknown host is named" 'no-such-host\.invalid' -f -o "$GOOD" demo@no-such-host.invalid "$MNT"
closed=$(/usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
both "a refused connection is told" "localhost.*refused|refused.*localhost" -o "$GOOD" "demo@localhost:$closed" "$MNT"
refused_for "a server that never greets is given up" 'localhost' '{"greeting": ""}' good
serve silent '{"quirks": [{"on": "CONNECT", "do": "stall"}]}' --tls "$TLS/good.pem" "$TLS/good.key"
refused "a server that never speaks TLS is given up" 'localhost' -f -o "$GOOD" "demo@localhost:$PORT" "$MNT"
serve plain '{}' --plain
refused "a port without TLS is told" 'TLS' -f -o "$GOOD" "demo@localhost:$PORT" "$MNT"
refused_for "an expired certificate is refused" 'expired' '{}' expired
refused_for "a self-signed certificate is refused" 'certificate' '{}' selfsigned
refused_for "a certificate of an unknown authority is refused" 'certificate' '{}' unknownca
refused_for "a certificate for another name is refused" 'another name' '{}' wrongname
refused_for "a certificate with its name only in the CN is refused" 'certificate' '{}' cnonly
serve good-start '{}' --starttls "$TLS/good.pem" "$TLS/good.key"
START_PORT=$PORT
refused "without tls_ca the system's authorities count" 'certificate' -f -o "$PLACES,$ASK,timeout=3" "$SOURCE" "$MNT"
refused "a wrong pin is refused" 'tls_pin' -f -o "$GOOD,tls_pin=sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" \
    "$SOURCE" "$MNT"
refused "a pin does not stand in for the chain" 'certificate' -f -o "$PLACES,$ASK,timeout=3" \
    -o "tls_pin=sha256//$(openssl x509 -in "$TLS/good.pem" -pubkey -noout | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | base64)" "$SOURCE" "$MNT"
serve wrong-start '{}' --starttls "$TLS/wrongname.pem" "$TLS/wrongname.key"
refused "STARTTLS checks the name, too" 'another name' -f -o "$GOOD" "imap://demo@localhost:$PORT" "$MNT"
serve no-start '{"starttls": "BAD unknown command"}' --starttls "$TLS/good.pem" "$TLS/good.key"
both "a server without STARTTLS is refused" 'STARTTLS' -o "$GOOD" "imap://demo@localhost:$PORT" "$MNT"
refused "a port for STARTTLS spoken to with TLS is told" 'TLS' -f -o "$GOOD" "demo@localhost:$START_PORT" "$MNT"
refused_for "the server's words are cleaned in a refused login" '\[31m' \
    '{"login": "NO [AUTHENTICATIONFAILED] \u001b[31mred\u0007\u009b2J \u00e2\u0080\u00ae back"}' good
serve rude-login '{"login": "NO [ALERT] \u001b]0;title\u0007 pay \u001b[2J now"}' --tls "$TLS/good.pem" "$TLS/good.key"
refused "and in an alert" 'pay' -f -o "$GOOD" "demo@localhost:$PORT" "$MNT"
refused_for "and in a greeting that says goodbye" 'localhost' '{"greeting": "* BYE \u001b[31m gone\u0085 away"}' good
refused_for "a greeting that is none is refused" 'localhost' '{"greeting": "220 smtp.example.org ESMTP"}' good
refused_for "a server that offers no login is refused" 'log in' \
    '{"before_login": ["IMAP4rev1", "LOGINDISABLED"]}' good

note "the mount point"
REFUSED_MNT=$SUITE_TMP/none both "a mount point that is missing" 'does not exist.*mkdir' -o "$GOOD" "$SOURCE" "$SUITE_TMP/none"
touch "$SUITE_TMP/file"
REFUSED_MNT=$SUITE_TMP/file refused "a mount point that is a file" 'not a directory' -f -o "$GOOD" "$SOURCE" "$SUITE_TMP/file"
mkdir "$SUITE_TMP/full"
touch "$SUITE_TMP/full/thing"
REFUSED_MNT=$SUITE_TMP/full refused "a mount point that is not empty" 'not empty' -f -o "$GOOD" "$SOURCE" "$SUITE_TMP/full"
check "what was in it is still there" test -e "$SUITE_TMP/full/thing"
ln -s "$MNT" "$SUITE_TMP/link"
REFUSED_MNT=$MNT refused "a mount point that is a symbolic link" 'symbolic link' -f -o "$GOOD" "$SOURCE" "$SUITE_TMP/link"
REFUSED_MNT=$MNT refused "the same with a slash behind" '.' -f -o "$GOOD" "$SOURCE" "$SUITE_TMP/link/"

mkdir "$SUITE_TMP/stale"
check "a mount that is going to die" run_mount "$SUITE_TMP/stale" "$SOURCE" -o "$GOOD"
kill -KILL "$MOUNT_PID"
wait "$MOUNT_PID" 2>/dev/null
REFUSED_MNT=$SUITE_TMP/other-none
status=0
timeout 60 "$IMAPFS_BUILD/imapfs" -f -o "$GOOD" "$SOURCE" "$SUITE_TMP/stale" >"$SUITE_TMP/said" 2>&1 || status=$?
check_equal "a dead mount on the mount point is a failure" 1 "$status"
check "its sentence names fusermount3 -u" grep -qE '^imapfs: .*fusermount3 -u' "$SUITE_TMP/said"
check_equal "and is the only one" 1 "$(grep -c '' "$SUITE_TMP/said")"
check "the dead mount can be detached" fusermount3 -u "$SUITE_TMP/stale"
unset 'SUITE_MOUNT_PID[$SUITE_TMP/stale]'
check "and mounted on again" run_mount "$SUITE_TMP/stale" "$SOURCE" -o "$GOOD"
check "with its mail" grep -rqF 'the first' "$SUITE_TMP/stale/INBOX"
REFUSED_MNT=$MNT
both "a second mount of one account is refused" "$MOUNT_PID" -o "$GOOD" "$SOURCE" "$MNT"
check "and leaves the first alone" ls "$SUITE_TMP/stale/INBOX"
check "the first unmounts" unmount "$SUITE_TMP/stale"

note "directories of its own"
places() { # STATE CACHE
    printf '%s' "$TRUST,$ASK,timeout=3,state_dir=$1,cache_dir=$2"
}
account="demo@localhost:$GOOD_PORT"
refused "a state_dir below a file" 'file' -f -o "$(places "$SUITE_TMP/file/state" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
refused "a cache_dir below the mount point" 'below the mount point.*cache_dir' -f \
    -o "$(places "$SUITE_TMP/s1" "$MNT/cache")" "$SOURCE" "$MNT"
refused "a cache_dir below it through a link" 'below the mount point' -f \
    -o "$(places "$SUITE_TMP/s1" "$SUITE_TMP/link/cache")" "$SOURCE" "$MNT"
refused "a state_dir below the mount point" 'below the mount point.*state_dir' -f \
    -o "$(places "$MNT/state" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
mkdir -p "$SUITE_TMP/open/$account"
chmod 755 "$SUITE_TMP/open/$account"
refused "a state directory that others may enter" 'chmod 700' -f -o "$(places "$SUITE_TMP/open" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
refused "a cache directory that others may enter" 'chmod 700' -f -o "$(places "$SUITE_TMP/s1" "$SUITE_TMP/open")" "$SOURCE" "$MNT"
mkdir -p "$SUITE_TMP/linked" "$SUITE_TMP/elsewhere"
chmod 700 "$SUITE_TMP/elsewhere"
ln -s "$SUITE_TMP/elsewhere" "$SUITE_TMP/linked/$account"
refused "a state directory that is a link" 'symbolic link' -f -o "$(places "$SUITE_TMP/linked" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
refused "a cache directory that is a link" 'symbolic link' -f -o "$(places "$SUITE_TMP/s1" "$SUITE_TMP/linked")" "$SOURCE" "$MNT"
check_equal "nothing was written where the link leads" '' "$(ls -A "$SUITE_TMP/elsewhere")"
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$SUITE_TMP/foreign/$account"
    chmod 700 "$SUITE_TMP/foreign/$account"
    chown nobody "$SUITE_TMP/foreign/$account"
    both "a state directory of somebody else" 'belongs to' -o "$(places "$SUITE_TMP/foreign" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
    refused "a cache directory of somebody else" 'belongs to' -f -o "$(places "$SUITE_TMP/s1" "$SUITE_TMP/foreign")" "$SOURCE" "$MNT"
else
    skip "a state directory of somebody else" "only root can make one"
fi
mkdir -m 500 "$SUITE_TMP/closed"
if [ "$(id -u)" = 0 ]; then
    if mount -t tmpfs -o ro,mode=700 none "$SUITE_TMP/closed" 2>/dev/null; then
        at_exit umount "$SUITE_TMP/closed"
    fi
fi
if ! touch "$SUITE_TMP/closed/x" 2>/dev/null; then
    refused "a state_dir that cannot be written" "$SUITE_TMP/closed.*(Read-only|Permission)" -f \
        -o "$(places "$SUITE_TMP/closed" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
    refused "a cache_dir that cannot be written" "$SUITE_TMP/closed.*(Read-only|Permission)" -f \
        -o "$(places "$SUITE_TMP/s1" "$SUITE_TMP/closed")" "$SOURCE" "$MNT"
else
    skip "a state_dir that cannot be written" "nothing is closed to this user"
fi

note "a full disk"
# tmpfs DIR SIZE
tmpfs() {
    mkdir "$1" && mount -t tmpfs -o "size=$2,mode=700" none "$1" 2>/dev/null && at_exit umount -l "$1"
}
no_space() { # FILE: reading it ends with ENOSPC
    /usr/bin/python3 -c '
import errno, sys
try:
    open(sys.argv[1], "rb").read()
    sys.exit("it was read")
except OSError as e:
    sys.exit(0 if e.errno == errno.ENOSPC else str(e))' "$1"
}
if tmpfs "$SUITE_TMP/disk-state" 64k && tmpfs "$SUITE_TMP/disk-cache" 1m; then
    head -c 1000000 /dev/zero >"$SUITE_TMP/disk-state/filler" 2>/dev/null
    both "a full disk under state_dir" 'disk .*is full|No space' -o "$(places "$SUITE_TMP/disk-state" "$SUITE_TMP/c1")" "$SOURCE" "$MNT"
    check "the cache's disk is too small for a message" run_mount "$MNT" "$SOURCE" -o "$(places "$SUITE_TMP/s2" "$SUITE_TMP/disk-cache")"
    large=$(find "$MNT/INBOX" -size +1000k)
    small=$(find "$MNT/INBOX" -type f -size -1000k)
    check "its reader gets ENOSPC" no_space "$large"
    check "and again" no_space "$large"
    check "a small one is still read" grep -qF 'the first' "$small"
    check "the errors tell of the disk" grep -qiE 'no space|disk is full' "$MNT/.imapfs/errors"
    check "the mount ends well" unmount "$MNT"
else
    skip "a full disk" "only root can make one"
fi

note "words on the command line and in the configuration"
REFUSED_STATUS=2
both "an unknown option" 'no_such_option.*--help' -o "$GOOD,no_such_option=1" "$SOURCE" "$MNT"
for option in connections=0 connections=17 connections=many timeout=0 timeout=-1 timeout= cache_size=1X umask=999 \
    uid=-1 subscribed=maybe max_age=x cache_size=99999999999999999999; do
    refused "the option $option" "^imapfs: .*${option%%=*}" -f -o "$GOOD,$option" "$SOURCE" "$MNT"
done
refused "a password as an option" 'never taken from the command line' -f -o "$GOOD,password=hunter2" "$SOURCE" "$MNT"
refused "a password in the source" 'never taken from the command line' -f -o "$GOOD" "demo:hunter2@localhost:$GOOD_PORT" "$MNT"
refused "a password in a URL" 'never taken from the command line' -f -o "$GOOD" "imaps://demo:hunter2@localhost:$GOOD_PORT/" "$MNT"
check_not "is not repeated" grep -q hunter2 "$SUITE_TMP/said"
refused "an unknown scheme" 'imaps://' -f -o "$GOOD" "https://demo@localhost/" "$MNT"
refused "a bad port" 'port' -f -o "$GOOD" "demo@localhost:99999" "$MNT"
refused "an empty host" 'host' -f -o "$GOOD" "demo@" "$MNT"
refused "no mount point" 'MOUNTPOINT' -f -o "$GOOD" "$SOURCE"
refused "one word too many" 'too many' -f -o "$GOOD" "$SOURCE" "$MNT" more
refused "an unknown letter" 'no option -q' -f -q -o "$GOOD" "$SOURCE" "$MNT"
refused "-o without a word" '.' -f "$SOURCE" "$MNT" -o
mkdir -p "$XDG_CONFIG_HOME/imapfs"
config() { # TEXT [MODE]
    printf '%b' "$1" >"$XDG_CONFIG_HOME/imapfs/config"
    chmod "${2:-600}" "$XDG_CONFIG_HOME/imapfs/config"
}
config 'nonsense before any section\n'
both "a configuration file that is none" 'config' -o "$GOOD" "$SOURCE" "$MNT"
config "[work]\nsource=$SOURCE\nconections=3\n"
refused "a misspelt name in it" 'conections' -f -o "$GOOD" work "$MNT"
config "[work]\nsource=$SOURCE\nconnections=99\n"
refused "a bad value in it" 'connections=99' -f -o "$GOOD" work "$MNT"
config "[work]\nsource=$SOURCE\npassword=$canary\n"
refused "a password in it" 'password' -f -o "$GOOD" work "$MNT"
config "[work]\nconnections=3\n"
refused "an account without source" 'work.*no source' -f -o "$GOOD" work "$MNT"
config "[work]\nsource=$SOURCE\n" 666
refused "one that others may write" 'chmod go-w' -f -o "$GOOD" work "$MNT"
config "[work]\nsource=$SOURCE\n\xff\xfe=\x01\n"
refused "one with bytes that are no text" 'config' -f -o "$GOOD" work "$MNT"
rm "$XDG_CONFIG_HOME/imapfs/config"
unset REFUSED_STATUS
refused "a tls_ca that is not there" 'none\.pem' -f -o "$PLACES,$ASK,timeout=3,tls_ca=$SUITE_TMP/none.pem" "$SOURCE" "$MNT"
refused "a tls_ca without a certificate" 'PEM' -f -o "$PLACES,$ASK,timeout=3,tls_ca=$SUITE_TMP/password" "$SOURCE" "$MNT"
refused "a tls_pin that is none" 'tls_pin' -f -o "$GOOD,tls_pin=sha256//short" "$SOURCE" "$MNT"
refused "an auth that is unknown" 'CRAM-MD5' -f -o "$GOOD,auth=CRAM-MD5" "$SOURCE" "$MNT"
refused "a root mailbox that is not there" 'Nowhere' -f -o "$GOOD" "$SOURCE/Nowhere" "$MNT"

note "where the password comes from"
ask_by() { # SENTENCE REGEX OPTIONS
    refused "$1" "$2" -f -o "$TRUST,$PLACES,timeout=3" ${3:+-o "$3"} "$SOURCE" "$MNT"
}
ask_by "a password_command that fails" 'password_command.*status 3' "password_command=sh -c 'echo $canary; exit 3'"
both "a password_command that is not there" 'password_command.*no-such-command' -o "$TRUST,$PLACES,password_command=no-such-command" \
    "$SOURCE" "$MNT"
ask_by "a password_command that prints nothing" 'no password' "password_command=true"
ask_by "a password_command whose first line is empty" 'no password' "password_command=sh -c 'echo; echo $canary'"
ask_by "a password_command that prints for ever" 'password_command' "password_command=yes $canary"
ask_by "a password_command with an unended quote" 'quote' "password_command=cat 'x"
# shellcheck disable=SC2016 # no shell may expand it
ask_by "a password_command is not run by a shell" 'refused' 'password_command=echo $(cat '"$SUITE_TMP/password)"
no_terminal() {
    setsid -w timeout 60 "$IMAPFS_BUILD/imapfs" -f -o "$TRUST,$PLACES" "$SOURCE" "$MNT" >"$SUITE_TMP/said" 2>&1 </dev/null
}
check_not "nowhere to ask is a failure" no_terminal
check "that says what to give" grep -qE '^imapfs: .*password_command.*netrc.*terminal' "$SUITE_TMP/said"
netrc() { # TEXT MODE
    printf '%s\n' "$1" >"$HOME/.netrc"
    chmod "$2" "$HOME/.netrc"
}
netrc "machine localhost login demo password $canary" 644
ask_by "a netrc that others may read" 'chmod 600'
netrc "machine localhost login somebody password $canary" 600
ask_by "a netrc without the login" 'no entry' "netrc=$HOME/.netrc"
netrc "machine localhost port 1 login demo password $canary" 600
ask_by "a netrc with another port" 'no entry' "netrc=$HOME/.netrc"
netrc "machine localhost login demo password $canary" 600
check "a netrc works" run_mount "$MNT" "$SOURCE" -o "$TRUST,$PLACES"
check "and the mail is there" grep -rqF 'the first' "$MNT/INBOX"
check "it unmounts" unmount "$MNT"
rm "$HOME/.netrc"
mkdir -m 700 "$SUITE_TMP/credentials"
cp "$SUITE_TMP/password" "$SUITE_TMP/credentials/imapfs-password"
export CREDENTIALS_DIRECTORY=$SUITE_TMP/credentials
check "a systemd credential works, and comes first" run_mount "$MNT" "$SOURCE" -o "$TRUST,$PLACES,password_command=false"
check "it unmounts, too" unmount "$MNT"
printf 'two\nlines\n' >"$SUITE_TMP/credentials/imapfs-password"
ask_by "a credential of two lines" 'line end'
unset CREDENTIALS_DIRECTORY
on_terminal() { # ANSWER-FILE: in the background, so that the status tells
    timeout 120 "$here/terminal.py" "$1" 'Password for ' "$IMAPFS_BUILD/imapfs" -o "$TRUST,$PLACES" "$SOURCE" "$MNT" \
        >"$SUITE_TMP/shown"
}
check "a prompt on the terminal works" on_terminal "$SUITE_TMP/password"
check "it names the account" grep -qF "Password for imap://demo@localhost:$GOOD_PORT" "$SUITE_TMP/shown"
check_not "and does not echo" grep -qF "$canary" "$SUITE_TMP/shown"
check "the mail is there, in the background" grep -rqF 'the first' "$MNT/INBOX"
pid=$(processes_of "$MNT")
check_equal "one process serves it" 1 "$(wc -w <<<"$pid")"
check "the background mount unmounts" fusermount3 -u "$MNT"
check "and its process ends" wait_until 60 process_is_gone "$pid"
check_not "a wrong answer is refused" on_terminal "$SUITE_TMP/wrong"
check "with one sentence" grep -qE '^imapfs: .*refused' "$SUITE_TMP/shown"
check_not "^C at the prompt ends it" on_terminal ^C
check_not "nothing is mounted" is_mounted "$MNT"

note "secrets and modes"
config "[work]\nsource=$SOURCE\npassword_command=cat $SUITE_TMP/password\n"
umask 000
check "a mount under umask 000, traced" run_mount "$MNT" work -d -o "$TRUST,state_dir=$SUITE_TMP/s4,cache_dir=$SUITE_TMP/c4"
umask 022
check "is read" cat "$MNT"/INBOX/*.eml
for _ in 1 2; do "$IMAPFS_BUILD/imapfsctl" status "$MNT" >>"$SUITE_TMP/status" 2>&1; done
cat "$MNT/.imapfs/status" "$MNT/.imapfs/status.json" "$MNT/.imapfs/errors" >>"$SUITE_TMP/status"
check_equal "every directory and file of its own is for its owner alone" '' \
    "$(find "$SUITE_TMP/s4/$account" "$SUITE_TMP/c4/$account" ! -type s -perm /077)"
check_equal "no file of them has other bits than 0600 and 0700" '' \
    "$(find "$SUITE_TMP/s4/$account" "$SUITE_TMP/c4/$account" \( -type f ! -perm 600 \) -o \( -type d ! -perm 700 \))"
check_equal "its socket, too" '' "$(find "$SUITE_TMP/s4/$account" -type s -perm /077)"
secrets() { # FILE-OR-DIR...: whether the password is in them, plain or in base64
    local plain=$canary coded
    coded=$(printf '%s' "$canary" | base64)
    LC_ALL=C grep -raqF -e "$plain" -e "${coded%%=*}" -e "$(printf '\0demo\0%s' "$canary" | base64)" -- "$@"
}
check "the mount's log has something to hide" grep -q 'LOOKUP' "$MOUNT_LOG"
check_not "the password is not in the traced log" secrets "$MOUNT_LOG"
check_not "nor in the state directory" secrets "$SUITE_TMP/s4"
check_not "nor in the cache directory" secrets "$SUITE_TMP/c4"
check_not "nor in the status and errors" secrets "$SUITE_TMP/status"
check_not "nor in the command line" secrets "/proc/$MOUNT_PID/cmdline"
check_not "nor in the environment" secrets "/proc/$MOUNT_PID/environ"
check_not "nor in the file that says what is mounted" secrets /proc/self/mountinfo
check "it unmounts as well" unmount "$MNT"
rm "$XDG_CONFIG_HOME/imapfs/config"

# Another user's process: to root nothing is closed.
# Outside the suite's own folder, which may lie where only root may enter.
OPEN=$(mktemp -d /tmp/imapfs-nobody.XXXXXX)
at_exit rm -rf --one-file-system "$OPEN"
chmod 711 "$OPEN"
as_nobody() {
    setpriv --reuid nobody --regid nogroup --clear-groups env HOME="$OPEN/nobody" XDG_CONFIG_HOME="$OPEN/nobody" "$@"
}
if [ "$(id -u)" = 0 ] && [ -z "$IMAPFS_SAN" ] && as_nobody test -x "$IMAPFS_BUILD/imapfs"; then
    install -d -o nobody -m 700 "$OPEN/nobody" "$OPEN/nobody/mnt"
    install -d -m 755 "$OPEN/public"
    install -m 644 "$TLS/ca.pem" "$OPEN/public/ca.pem"
    install -o nobody -m 600 "$SUITE_TMP/password" "$OPEN/nobody/password"
    as_nobody "$IMAPFS_BUILD/imapfs" -o "tls_ca=$OPEN/public/ca.pem,password_command=cat $OPEN/nobody/password" \
        -o "state_dir=$OPEN/nobody/s,cache_dir=$OPEN/nobody/c" "$SOURCE" "$OPEN/nobody/mnt" >"$SUITE_TMP/said" 2>&1
    check_equal "an ordinary user mounts without a word" '0 ' "$? $(cat "$SUITE_TMP/said")"
    pid=$(processes_of "$OPEN/nobody/mnt")
    check "reads the mail" as_nobody grep -rqF 'the first' "$OPEN/nobody/mnt/INBOX"
    for file in environ maps mem auxv; do
        check_not "and may not read /proc/PID/$file of it" as_nobody cat "/proc/$pid/$file"
    done
    check_not "root is no user of this mount" ls "$OPEN/nobody/mnt"
    check "unmounts it" as_nobody fusermount3 -u "$OPEN/nobody/mnt"
    check "and it is gone" wait_until 60 process_is_gone "$pid"
else
    skip "an ordinary user's mount" "needs root, a plain build and a folder that others may enter"
fi

check "a password_command that hangs is given up" wait_until 120 process_is_gone "$HANGING"
wait "$HANGING"
check_equal "with a failure" 1 $?
check "and a sentence" grep -qE '^imapfs: password_command .*stopped' "$SUITE_TMP/hanging"
check_equal "that is the only one" 1 "$(grep -c '' "$SUITE_TMP/hanging")"
check_not "and the command is gone" pgrep -f "sleep 1000.$$"
check_equal "the password never travelled without TLS" 0 \
    "$(for f in "$SUITE_TMP"/*/control; do "$imapd" ctl "${f%/*}" '{"op": "counters"}'; done 2>/dev/null | grep -c '"canary_before_tls": [^0]')"
suite_end
