#!/usr/bin/env bash
# test_tools.sh - the tools people use every day, on a mount: they see all mail, change none, and keep up with it
# shellcheck disable=SC2016,SC2010,SC2012 # programs for other shells; what ls shows is the question
. "$(dirname "$0")/../lib/suite.sh"
suite tools
need_fuse
. "$SUITE_ROOT/tests/lib/ground.sh"
export LC_ALL=C.UTF-8
mnt=$SUITE_TMP/mnt
calls=$SUITE_ROOT/tests/fs/calls.py
imapfs=$IMAPFS_BUILD/imapfs
ctl=$IMAPFS_BUILD/imapfsctl

words() { # DIR: what ls shows, in a line
    ls "$1" | tr '\n' ' '
}
# One number from the client's view: a Python expression over rows (all), with sizes in `size`.
want() { # EXPRESSION
    /usr/bin/python3 -c 'import json, sys
rows = [json.loads(x) for x in open(sys.argv[1])]
print(eval(sys.argv[2]))' "$SUITE_TMP/dump.jsonl" "$1"
}
message() { # FILE SUBJECT ID TEXT: a message with a known name
    printf 'From: Ada <ada@example.org>\r\nSubject: %s\r\nDate: Mon, 4 May 2020 10:00:00 +0000\r\nMessage-ID: <%s@example.org>\r\n\r\n%s\r\n' \
        "$2" "$3" "$4" >"$SUITE_TMP/$1"
}
one_of() { # DIR PATTERN: the only file of that name
    find "$1" -maxdepth 1 -type f -name "$2"
}
listed() { # DIR PATTERN
    [ -n "$(one_of "$1" "$2")" ]
}
not_listed() {
    [ -d "$1" ] && ! listed "$1" "$2"
}
attribute() { # FILE NAME
    getfattr --absolute-names --only-values -n "user.imap.$2" "$1"
}
# A listing is what asks the server; what a name means is then known to be no older.
in_listing() { # DIR COMMAND...
    ls "$1" >/dev/null && shift && "$@"
}
flags_are() { # FILE "SORTED FLAGS "
    [ "$(attribute "$1" flags | tr ' ' '\n' | sort | tr '\n' ' ')" = "$2" ]
}
flags_below() { # DIR: the flags of each message
    (cd "$1" && getfattr -n user.imap.flags ./*.eml)
}
attribute_is() { # FILE NAME VALUE
    [ "$(attribute "$1" "$2")" = "$3" ]
}
body_bytes() {
    status_of "$mnt" body_bytes_fetched
}

start_dovecot server
fill server --nasty --no-big >"$SUITE_TMP/fill.log" &&
    fill server --generate 60 --body 3000 --mailbox Work --how append >>"$SUITE_TMP/fill.log" &&
    fill server --generate 5 --mailbox Work/Projects --flags '\Seen $Forwarded' --how append >>"$SUITE_TMP/fill.log" &&
    fill server --generate 5 --mailbox Lists/dev --how append --from 900 >>"$SUITE_TMP/fill.log" &&
    fill server --generate 3 --user other --how append --from 500 >>"$SUITE_TMP/fill.log" || exit 1
oracle server unsubscribe Lists.dev || exit 1
oracle server dump >"$SUITE_TMP/dump.jsonl" || exit 1
all=$(want 'len(rows)')

# ---- listing: everything is there, and no body travels
check "the account is mounted" mount_of server "$mnt" -o max_age=1
check_equal "ls shows the mailboxes" "Archive Drafts INBOX Junk Lists Sent Trash Work " "$(words "$mnt")"
check_equal "ls shows child mailboxes among the messages" 61 "$(ls "$mnt/Work" | wc -l)"
check_equal "a name that only leads to others is a directory without messages" dev "$(ls "$mnt/Lists")"
check_equal "ls -lR shows every message" "$all" "$(ls -lR "$mnt" | grep -c '\.eml$')"
check_equal "find -type f finds every message once" "$all" "$(find "$mnt" -type f | sort -u | wc -l)"
check_equal "find -type d finds every mailbox" 11 "$(find "$mnt" -type d | wc -l)"
check_equal "find -size finds by the true size" "$(want 'sum(r["size"] > 4096 for r in rows)')" \
    "$(find "$mnt" -type f -size +4096c | wc -l)"
check_equal "sizes add up to what the server holds" "$(want 'sum(r["size"] for r in rows)')" \
    "$(find "$mnt" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')"
touch -d @1577840000 "$SUITE_TMP/reference"
check_equal "find -newer finds by the time of arrival" "$(want 'sum(r["internaldate"] > 1577840000 for r in rows)')" \
    "$(find "$mnt" -type f -newer "$SUITE_TMP/reference" | wc -l)"
check_equal "du counts the same bytes" "$(want 'sum(r["size"] for r in rows)')" \
    "$(du -ab "$mnt" | awk '/\.eml$/ { n += $1 } END { print n }')"
check_equal "no file with content looks like a hole" 0 "$(find "$mnt" -type f -size +0c -printf '%b\n' | grep -cx 0)"
check_equal "stat tells type, mode and owner" "regular file 400 $(id -u) $(id -g) 1" \
    "$(find "$mnt/Work/Projects" -type f -exec stat -c '%F %a %u %g %h' {} + | sort -u)"
check_equal "stat of a mailbox does, too" "directory 500 $(id -u) $(id -g)" "$(stat -c '%F %a %u %g' "$mnt/Work")"
check_equal "two messages have two inode numbers" "$all" "$(find "$mnt" -type f -printf '%i\n' | sort -u | wc -l)"
check "rsync --dry-run goes through everything" rsync -a --dry-run "$mnt/" "$SUITE_TMP/nowhere/"
check "tar to /dev/null does, too" tar cf /dev/null -C "$mnt" .
check_equal "ls, find, du, stat and rsync --dry-run fetched no body" 0 "$(body_bytes)"

# ---- names that begin with a dot
check_equal "names with a dot are not listed" '' "$(find "$mnt" -mindepth 1 -name '.*')$(ls -A "$mnt" "$mnt/INBOX" | grep '^\.')"
file=$(find "$mnt/Work" -maxdepth 1 -type f | head -n 1)
uid=$(attribute "$file" uid)
check_equal ".uid/N.eml is the same inode" "$(stat -c '%i %s %Y' "$file")" "$(stat -c '%i %s %Y' "$mnt/Work/.uid/$uid.eml")"
check "and has the same bytes" cmp "$file" "$mnt/Work/.uid/$uid.eml"
for name in 99999 0 01 +1 -1 4294967296 18446744073709551617 x ''; do
    check_not ".uid/$name.eml is no message" stat "$mnt/Work/.uid/$name.eml"
done
check_equal ".imapfs holds three files" "errors status status.json " "$(words "$mnt/.imapfs")"
check ".imapfs/status says what account this is" grep -q 'demo@localhost' "$mnt/.imapfs/status"
check ".imapfs/status.json is JSON" /usr/bin/python3 -m json.tool "$mnt/.imapfs/status.json"
check_equal "2 GiB are kept by default" 2147483648 "$(status_of "$mnt" cache_limit_bytes)"
check_equal "nothing has gone wrong so far" '' "$(cat "$mnt/.imapfs/errors")"

# ---- reading
ref=$SUITE_TMP/reference.eml
oracle server fetch Work "$uid" >"$ref"
check "cat gives the server's bytes" sh -c 'cat "$1" | cmp - "$2"' _ "$file" "$ref"
check_equal "head -c gives the beginning" "$(head -c 100 "$ref" | base64)" "$(head -c 100 "$file" | base64)"
check_equal "tail -c gives the end" "$(tail -c 100 "$ref" | base64)" "$(tail -c 100 "$file" | base64)"
check_equal "tail -n does" "$(tail -n 3 "$ref")" "$(tail -n 3 "$file")"
check_equal "wc counts the same" "$(wc <"$ref")" "$(wc <"$file")"
check_equal "a mapping shows the same bytes" "$(sha256sum <"$ref" | cut -d ' ' -f 1)" "$("$calls" mmap "$file")"
check "seeking reads the same bytes at any place" "$calls" seeks "$file" "$ref"
big=$(find "$mnt/INBOX" -type f -size +200000c | head -n 1)
fetched=$(status_of "$mnt" bodies_fetched)
oracle server fetch INBOX "$(attribute "$big" uid)" >"$SUITE_TMP/big.eml"
check_equal "thirty readers of one file at once read the same bytes" "$(sha256sum <"$SUITE_TMP/big.eml" | cut -d ' ' -f 1)" \
    "$("$calls" together 30 "$big")"
check_equal "and they fetched it once" 1 $(($(status_of "$mnt" bodies_fetched) - fetched))
check_equal "grep -r finds a word in the messages that have it" "$(want 'sum(r["mailbox"] == "Work.Projects" for r in rows)')" \
    "$(grep -rl 'Line 0 of a made-up message' "$mnt/Work/Projects" | wc -l)"
check_not "grep -r finds no word that nobody wrote" grep -r 'no-such-word-anywhere' "$mnt"

# ---- copies
check "tar packs everything" tar cf "$SUITE_TMP/all.tar" -C "$mnt" .
check "tar finds no difference afterwards" tar df "$SUITE_TMP/all.tar" -C "$mnt"
check "cp -a copies everything out" cp -a "$mnt" "$SUITE_TMP/copy"
check "diff -r finds no difference" diff -r "$mnt" "$SUITE_TMP/copy"
check_equal "the copies have the times of arrival" "$(cd "$mnt" && find . -type f -printf '%p %s %T@\n' | sort | sha256sum)" \
    "$(cd "$SUITE_TMP/copy" && find . -type f -printf '%p %s %T@\n' | sort | sha256sum)"
check "rsync -a backs everything up" rsync -a "$mnt/" "$SUITE_TMP/backup/"
check_equal "a second rsync -a has nothing to do" '' "$(rsync -a --itemize-changes "$mnt/" "$SUITE_TMP/backup/")"
check_equal "and transfers nothing" "Number of regular files transferred: 0" \
    "$(rsync -a --stats "$mnt/" "$SUITE_TMP/backup/" | grep transferred:)"
check_equal "rsync -ac has nothing to do either" '' "$(rsync -ac --itemize-changes "$mnt/" "$SUITE_TMP/backup/")"
touch "$SUITE_TMP/probe"
if setfattr -n user.probe -v 1 "$SUITE_TMP/probe" 2>/dev/null; then
    check "rsync -aX backs up attributes" rsync -aX "$mnt/Work/Projects/" "$SUITE_TMP/attributes/"
    check_equal "they are the flags" "$(flags_below "$mnt/Work/Projects")" "$(flags_below "$SUITE_TMP/attributes")"
    check_equal "and nothing else" "user.imap.flags" \
        "$(getfattr --absolute-names -m - "$SUITE_TMP"/attributes/*.eml | sed '/^#/d; /^$/d' | sort -u)"
    check_equal "a second rsync -aX has nothing to do" '' \
        "$(rsync -aX --itemize-changes "$mnt/Work/Projects/" "$SUITE_TMP/attributes/")"
else
    skip "rsync -aX backs up flags" "this file system keeps no user attributes"
fi

# ---- attributes
file=$(grep -rl 'Message-ID: <made.3@example.org>' "$mnt/Work/Projects")
for row in "uid:3" "flags:\\Seen \$Forwarded" "message_id:<made.3@example.org>" "subject:Report number 3 of the day" \
    "from:Writer 3 <writer3@example.org>" "mailbox:Work/Projects" "cached:1"; do
    name=${row%%:*} value=${row#*:}
    got=$(attribute "$file" "$name")
    [ "$name" != flags ] || { value=$(echo "$value" | tr ' ' '\n' | sort | tr '\n' ' ') got=$(echo "$got" | tr ' ' '\n' | sort | tr '\n' ' '); }
    check_equal "user.imap.$name of a message is told" "$value" "$got"
done
check_equal "user.imap.date is the Date field" "Wed, 01 Jan 2020 00:03:00 -0000" "$(attribute "$file" date)"
check_equal "user.imap.uidvalidity is the mailbox's" \
    "$(oracle server status Work.Projects | sed 's/.*"uidvalidity": \([0-9]*\).*/\1/')" "$(attribute "$file" uidvalidity)"
check_equal "user.imap.special_use of a mailbox is told" '\Sent' "$(attribute "$mnt/Sent" special_use)"
check_equal "user.imap.messages is" 60 "$(attribute "$mnt/Work" messages)"
check_equal "user.imap.unseen is" "60 0" "$(attribute "$mnt/Work" unseen) $(attribute "$mnt/Work/Projects" unseen)"
check_equal "user.imap.subscribed is" "1 0" "$(attribute "$mnt/Work" subscribed) $(attribute "$mnt/Lists/dev" subscribed)"
check_equal "only the flags are listed" user.imap.flags "$(getfattr --absolute-names -m - "$file" | grep -v '^#' | tr -d '\n')"
check_not "there is no other attribute" getfattr -n user.imap.nonsense "$file"
check_equal "df shows the quota" 10485760 "$(wait_until 60 sh -c '[ "$(df --output=size "$1" | tail -n 1)" -eq 10485760 ]' _ "$mnt"
    df --output=size "$mnt" | tail -n 1 | tr -d ' ')"
check_equal "df -i counts the messages" "$all" "$(df --output=iused "$mnt" | tail -n 1 | tr -d ' ')"

# ---- nothing can be changed
check_equal "every changing system call fails with EROFS" "26 calls" "$("$calls" changes "$mnt" "$mnt/Work/.uid/1.eml")"
file=$(find "$mnt/Work" -maxdepth 1 -type f | head -n 1)
refused() { # SENTENCE COMMAND...
    local sentence=$1 said
    shift
    said=$("$@" 2>&1 </dev/null) && { not_ok "$sentence" "it succeeded: $*"; return; }
    case $said in
    *'Read-only file system'*) ok "$sentence" ;;
    *) not_ok "$sentence" "\$ $*" "$said" ;;
    esac
}
refused "touch of a new file fails with EROFS" touch "$mnt/Work/new.eml"
refused "touch of a message does" touch "$file"
refused "mv inside a mailbox does" mv "$file" "$mnt/Work/new.eml"
refused "mv to another mailbox does" mv "$file" "$mnt/Sent/"
refused "mv of a mailbox does" mv "$mnt/Work" "$mnt/Play"
refused "rm does" rm -f "$file"
refused "rm -r does" rm -rf "$mnt/Work"
refused "mkdir does" mkdir "$mnt/New"
refused "rmdir does" rmdir "$mnt/Sent"
refused "ln does" ln "$file" "$mnt/Work/linked.eml"
refused "ln -s does" ln -s "$file" "$mnt/Work/linked.eml"
refused "chmod does" chmod 600 "$file"
refused "chown does" chown "$(id -u)" "$file"
refused "setfattr does" setfattr -n user.imap.flags -v '\Seen' "$file"
refused "setfattr -x does" setfattr -x user.imap.flags "$file"
refused "truncate does" truncate -s 0 "$file"
refused "> of a message does" sh -c ': >"$1"' _ "$file"
refused "> of a new file does" sh -c ': >"$1"' _ "$mnt/Work/new.eml"
refused ">> does" sh -c ': >>"$1"' _ "$file"
refused "cp in does" cp "$ref" "$mnt/Work/"
refused "rsync in does" rsync -a "$ref" "$mnt/Work/"
oracle server dump >"$SUITE_TMP/after.jsonl"
check "all this changed no flag and no message on the server" cmp "$SUITE_TMP/dump.jsonl" "$SUITE_TMP/after.jsonl"

# ---- news from elsewhere
message first.eml "First of all" first "The first."
oracle server append Work "$SUITE_TMP/first.eml" >/dev/null
check "new mail appears by itself" wait_until 60 listed "$mnt/Work" '*.First-of-all.*.eml'
file=$(one_of "$mnt/Work" '*.First-of-all.*.eml')
check "and can be read" cmp "$file" "$SUITE_TMP/first.eml"
uid=$(attribute "$file" uid)
oracle server flags Work "$uid" '+\Flagged' '+Urgent'
check "flags that another client sets appear in the next listing" \
    wait_until 60 in_listing "$mnt/Work" flags_are "$file" 'Urgent \Flagged '
oracle server flags Work "$uid" '-\Flagged' '-Urgent'
check "flags that another client takes away vanish" wait_until 60 in_listing "$mnt/Work" attribute_is "$file" flags ''
exec 7<"$file"
oracle server expunge Work "$uid"
check "deleted mail disappears" wait_until 60 not_listed "$mnt/Work" '*.First-of-all.*.eml'
check "what is open stays readable after the message is gone" sh -c 'cmp "$1" - <&7' _ "$SUITE_TMP/first.eml"
exec 7<&-
check_not "its .uid name is gone, too" stat "$mnt/Work/.uid/$uid.eml"
oracle server create Fresh
check "a new mailbox appears" wait_until 60 test -d "$mnt/Fresh"
oracle server append Fresh "$SUITE_TMP/first.eml" >/dev/null
check "mail in it does" wait_until 60 listed "$mnt/Fresh" '*.First-of-all.*.eml'
oracle server rename Fresh Ripe
check "a renamed mailbox appears under its new name" wait_until 60 listed "$mnt/Ripe" '*.First-of-all.*.eml'
check "and not under its old one" wait_until 60 in_listing "$mnt" test ! -e "$mnt/Fresh"
check "its mail can be read" sh -c 'cat "$1"/*.eml | cmp - "$2"' _ "$mnt/Ripe" "$SUITE_TMP/first.eml"
oracle server delete Ripe
check "a deleted mailbox disappears" wait_until 60 in_listing "$mnt" test ! -e "$mnt/Ripe"

# Two messages that only their bytes tell apart: of one name, and both with UID 1.
message one.eml "Made anew" anew "This is the first one."
message two.eml "Made anew" anew "This is the other one."
oracle server create Anew
oracle server append Anew "$SUITE_TMP/one.eml" >/dev/null
check "a mailbox with one message appears" wait_until 60 listed "$mnt/Anew" '*.Made-anew.*.eml'
file=$(one_of "$mnt/Anew" '*.Made-anew.*.eml')
check "the message is read" cmp "$file" "$SUITE_TMP/one.eml"
validity=$(attribute "$file" uidvalidity)
exec 8<"$file"
oracle server recreate Anew
oracle server append Anew "$SUITE_TMP/two.eml" >/dev/null
anew() { [ "$(attribute "$file" uidvalidity)" -gt "$validity" ]; }
check "the mailbox made anew shows its new message" wait_until 60 in_listing "$mnt/Anew" anew
check "its bytes are those of the new message, though name, UID and size are the same" cmp "$file" "$SUITE_TMP/two.eml"
check "and so they are under .uid" cmp "$mnt/Anew/.uid/1.eml" "$SUITE_TMP/two.eml"
check "what was open shows the old message's bytes" sh -c 'cmp "$1" - <&8' _ "$SUITE_TMP/one.eml"
exec 8<&-

# ---- imapfsctl
check "imapfsctl status says what account this is" sh -c '"$1" status "$2" | grep -q demo@localhost' _ "$ctl" "$mnt"
check "imapfsctl status --json prints JSON" sh -c '"$1" status --json "$2" | python3 -m json.tool' _ "$ctl" "$mnt"
check "imapfsctl errors succeeds" "$ctl" errors "$mnt"
check "imapfsctl retry succeeds" "$ctl" retry "$mnt"
message second.eml "Second of all" second "The second."
oracle server append Sent "$SUITE_TMP/second.eml" >/dev/null
check "imapfsctl sync succeeds" "$ctl" sync --timeout 120 "$mnt"
check "after it the news is here" listed "$mnt/Sent" '*.Second-of-all.*.eml'
status_after() { # COMMAND...: its exit status, and whether it said anything
    local code=0
    "$@" >"$SUITE_TMP/said" 2>&1 </dev/null || code=$?
    echo "$code $([ -s "$SUITE_TMP/said" ] && echo said)"
}
for verb in status errors sync retry; do
    check_equal "imapfsctl $verb fails on what is no mount, and says so" "1 said" "$(status_after "$ctl" $verb "$SUITE_TMP")"
    check_equal "imapfsctl $verb fails on what does not exist" "1 said" "$(status_after "$ctl" $verb "$SUITE_TMP/none")"
done
check_equal "imapfsctl without a verb is a mistake" "2 said" "$(status_after "$ctl")"
check_equal "an unknown verb is a mistake" "2 said" "$(status_after "$ctl" frobnicate "$mnt")"
check_equal "a timeout that is no number is a mistake" "2 said" "$(status_after "$ctl" sync --timeout soon "$mnt")"

# ---- one mount for an account, several for several
check_equal "a second mount of the account is refused" "1 said" "$(mkdir "$SUITE_TMP/again" && status_after "$imapfs" \
    -o "$(account_options server "$mnt")" "$(account_source server)" "$SUITE_TMP/again")"
check "the pid of the first is named" grep -qw "$MOUNT_PID" "$SUITE_TMP/said"
check_not "nothing is mounted there" is_mounted "$SUITE_TMP/again"
check "another account can be mounted at the same time" run_mount "$SUITE_TMP/other" \
    "other@localhost:$(env_of server IMAPS_PORT)" -o "$(account_options server "$mnt")"
check_equal "and shows its own mail" 3 "$(ls "$SUITE_TMP/other/INBOX" | wc -l)"
check "while the first is still there" listed "$mnt/Sent" '*.Second-of-all.*.eml'
check "the other is unmounted" unmount "$SUITE_TMP/other"

# ---- the network goes away
cached=$(find "$mnt/Work/Projects" -type f | head -n 1)
before=$(find "$mnt" -type f | sort | sha256sum)
fresh=$(one_of "$mnt/Sent" '*.Second-of-all.*.eml')
check "the account is unmounted" unmount "$mnt"
"$SUITE_ROOT/tests/dovecot/server" stop --keep "$SUITE_TMP/server"
check "with no network the account is mounted" mount_of server "$mnt" -o max_age=1
check_equal "all that was known is listed" "$before" "$(find "$mnt" -type f | sort | sha256sum)"
check "mail in the cache can be read" cmp "$cached" "$SUITE_TMP/backup/Work/Projects/${cached##*/}"
check_equal "other mail fails with EHOSTDOWN" "cat: $fresh: Host is down" "$(cat "$fresh" 2>&1)"
check "the failure is in errors" sh -c '"$1" errors "$2" | grep .' _ "$ctl" "$mnt"
check_equal "an account that was never mounted is refused with no network" "1 said" "$(mkdir "$SUITE_TMP/never" &&
    status_after "$imapfs" -o "$(account_options server "$SUITE_TMP/never")" "$(account_source server)" "$SUITE_TMP/never")"
"$SUITE_ROOT/tests/dovecot/server" restart "$SUITE_TMP/server"
check "imapfsctl retry connects again" sh -c '"$1" retry "$2" && "$1" sync --timeout 120 "$2"' _ "$ctl" "$mnt"
check "then other mail can be read" cmp "$fresh" "$SUITE_TMP/second.eml"
check "it is unmounted" unmount "$mnt"

# ---- what is shown
mounted_dirs() { # the directories of a mount with these options, without the top
    mount_of server "$mnt" "$@" >/dev/null || { echo "not mounted"; return; }
    (cd "$mnt" && find . -mindepth 1 -type d | sort | sed 's/^\.\///' | tr '\n' ' ')
    unmount "$mnt"
}
check_equal "include= shows only what matches" "Work Work/Projects " "$(mounted_dirs -o 'include=Work*')"
check_equal "include= may be given twice" "INBOX Sent " "$(mounted_dirs -o include=Sent,include=INBOX)"
check_equal "exclude= hides what matches" "Anew INBOX Lists Lists/dev Sent Work " \
    "$(mounted_dirs -o exclude=Work/Projects,exclude=Archive,exclude=Junk,exclude=Trash,exclude=Drafts)"
check_equal "a parent that leads to what is shown is there" "Work Work/Projects " "$(mounted_dirs -o include=Work/Projects)"
check_equal "subscribed shows only those" "Archive Drafts INBOX Junk Sent Trash Work Work/Projects " \
    "$(mounted_dirs -o subscribed)"
check_equal "a mailbox in the source becomes the root" "Projects " "$(MOUNT_PATH=/Work mounted_dirs)"
MOUNT_PATH=/Work mount_of server "$mnt"
check_equal "with its messages" "$(oracle server status Work | sed 's/.*"messages": \([0-9]*\).*/\1/')" "$(find "$mnt" -maxdepth 1 -name '*.eml' | wc -l)"
check "it is unmounted" unmount "$mnt"
check "owner and mode can be chosen" mount_of server "$mnt" -o uid=1234,gid=2345,umask=027
check_equal "files have them" "1234 2345 440" "$(find "$mnt" -type f -exec stat -c '%u %g %a' {} + | sort -u)"
check_equal "directories have them" "1234 2345 550" "$(find "$mnt" -type d -exec stat -c '%u %g %a' {} + | sort -u)"
check "it is unmounted" unmount "$mnt"

# ---- the configuration file, and the background
home=$SUITE_TMP/home
mkdir -p "$home/.config/imapfs"
cat >"$home/.config/imapfs/config" <<END
[defaults]
tls_ca=$(env_of server CA)
[private]
source=$(account_source server)
password_command=cat $(env_of server PASSWORD_FILE)
exclude=Junk;Trash
END
chmod 600 "$home/.config/imapfs/config"
in_background() { # COMMAND...: with the home of this test
    env -u XDG_CONFIG_HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME HOME="$home" "$@"
}
ground=$SUITE_TMP/ground
mkdir "$ground"
at_exit fusermount3 -uzq "$ground"
pid_of() {
    pgrep -f -- "^$imapfs private $1\$"
}
check "an account of the configuration file is mounted in the background" in_background "$imapfs" private "$ground"
check "it is mounted when the command returns" is_mounted "$ground"
pid=$(pid_of "$ground")
check "a process serves it" test -n "$pid"
check_equal "options of the account count" "Anew Archive Drafts INBOX Lists Sent Work " "$(words "$ground")"
check_equal "state is below ~/.local/state and bodies below ~/.cache" "2" \
    "$(find "$home/.local/state/imapfs" "$home/.cache/imapfs" -mindepth 1 -maxdepth 1 -type d | wc -l)"
check_equal "no one else can look into them" '' "$(find "$home/.local/state/imapfs" "$home/.cache/imapfs" -mindepth 1 -perm /077)"
check "fusermount3 -u unmounts it" fusermount3 -u "$ground"
check "and ends the process" wait_until 60 process_is_gone "$pid"
check "it is mounted again" in_background "$imapfs" private "$ground"
pid=$(pid_of "$ground")
kill -TERM "$pid"
check "SIGTERM ends the process" wait_until 60 process_is_gone "$pid"
check_not "and unmounts" is_mounted "$ground"
check_equal "the command line wins over the configuration" "Sent " \
    "$(in_background "$imapfs" -o include=Sent private "$ground" && words "$ground"; fusermount3 -u "$ground")"
check "a wrong password is refused, with nothing mounted" sh -c '! env HOME="$1" "$2" -o password_command="echo wrong" private "$3"' \
    _ "$home" "$imapfs" "$ground"
check_not "nothing is mounted after that" is_mounted "$ground"
chmod 666 "$home/.config/imapfs/config"
check_equal "a configuration that others can write is a mistake" "2 said" "$(status_after in_background "$imapfs" private "$ground")"

check "in the foreground it is mounted" mount_of server "$mnt"
kill -TERM "$MOUNT_PID"
code=0
wait "$MOUNT_PID" || code=$?
check_equal "SIGTERM is a good end" 0 $code
check_not "that unmounts" is_mounted "$mnt"
suite_end
