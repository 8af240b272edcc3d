#!/usr/bin/env bash
# test_corpus.sh - real mail and nasty mail, read through the mount, is what an independent client sees, byte for byte
. "$(dirname "$0")/../lib/suite.sh"
suite corpus
need_fuse
. "$SUITE_ROOT/tests/lib/ground.sh"
mirror=$SUITE_ROOT/tests/fs/mirror.py
mnt=$SUITE_TMP/mnt

corpus=$("$SUITE_ROOT/scripts/corpus" 2>"$SUITE_TMP/corpus.log") ||
    skip_suite "the corpus cannot be had: $(tail -n 1 "$SUITE_TMP/corpus.log")"
some=0
if [ -n "$IMAPFS_SAN" ]; then
    some=600
    note "a sanitizer build: $some messages of the corpus, and the nasty ones"
fi
mkdir "$SUITE_TMP/nasty"
/usr/bin/python3 "$SUITE_ROOT/tests/data/nasty.py" "$SUITE_TMP/nasty" >"$SUITE_TMP/nasty.list" || exit 1
count=$("$mirror" index "$corpus" "$SUITE_TMP/index" "$SUITE_TMP/nasty" $some)
start_dovecot server --storage mdbox
fill server --index "$SUITE_TMP/index" --report "$SUITE_TMP/report" >"$SUITE_TMP/fill.log" || exit 1
refused=$(grep -c '"refused"' "$SUITE_TMP/report")
note "$count messages, each in two mailboxes; $refused of them were refused by the server"
before=$SUITE_TMP/before.jsonl
oracle server dump >"$before" || exit 1

# ---- the first time: all from the server
first=$SUITE_TMP/first.jsonl
check "the account is mounted" mount_of server "$mnt"
check "every message of every mailbox can be read" sh -c "\"$mirror\" walk \"$mnt\" >\"$first\""
check "what is read is BODY[] of the message, and st_size is its length" "$mirror" bytes "$before" "$first"
check "mtime is INTERNALDATE" "$mirror" times "$before" "$first"
check "user.imap.flags are the flags on the server" "$mirror" flags "$before" "$first"
check "names are plain, no longer than 255 bytes, and unique" "$mirror" names "$before" "$first"
check "names begin with the day of Date in UTC" "$mirror" days "$mnt" "$first"
check "the same message has the same name in both mailboxes, whatever its UID" "$mirror" twins "$first" INBOX Second
oracle server dump >"$SUITE_TMP/after.jsonl"
check "reading all of it changed no flag and no message on the server" cmp "$before" "$SUITE_TMP/after.jsonl"
check "unmounting ends the process" unmount "$mnt"

# ---- again: all from this disk, without a server
"$SUITE_ROOT/tests/dovecot/server" stop --keep "$SUITE_TMP/server"
cached=$SUITE_TMP/cached.jsonl
check "with the server gone it is mounted again" mount_of server "$mnt"
check "with the server gone every message can be read" sh -c "\"$mirror\" walk \"$mnt\" >\"$cached\""
check "from the cache the same bytes are read" "$mirror" bytes "$before" "$cached"
check "from the index mtime and flags are the same" "$mirror" same mtime,flags "$first" "$cached"
check "names and inode numbers are the same after a remount" "$mirror" same name,ino "$first" "$cached"
check "unmounting ends the process with the server gone, too" unmount "$mnt"

# ---- again, with a server: nothing is fetched twice
"$SUITE_ROOT/tests/dovecot/server" restart "$SUITE_TMP/server"
check "with the server back it is mounted again" mount_of server "$mnt"
check "every message can be read once more" sh -c "\"$mirror\" walk \"$mnt\" >\"$cached\""
check "the same bytes are read" "$mirror" bytes "$before" "$cached"
check_equal "none of them came over the line" 0 "$(status_of "$mnt" body_bytes_fetched)"
check_equal "neither did any row of the listings" 0 "$(status_of "$mnt" rows_fetched)"
check "unmounting ends the process once more" unmount "$mnt"

# ---- without anything remembered
rm -rf "$mnt.state" "$mnt.cache"
bare=$SUITE_TMP/bare.jsonl
check "with all local state deleted it is mounted again" mount_of server "$mnt"
check "all is listed" sh -c "\"$mirror\" walk \"$mnt\" --no-bodies >\"$bare\""
check "names are the same when nothing is remembered" "$mirror" same name "$first" "$bare"
check "mtime and flags are the same when nothing is remembered" "$mirror" same mtime,flags "$first" "$bare"
check_equal "listing fetched no body" 0 "$(status_of "$mnt" body_bytes_fetched)"
oracle server dump >"$SUITE_TMP/after.jsonl"
check "after all this no flag and no message on the server has changed" cmp "$before" "$SUITE_TMP/after.jsonl"
suite_end
