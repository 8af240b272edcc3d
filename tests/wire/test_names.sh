#!/usr/bin/env bash
# test_names.sh - whatever a server calls its mailboxes, each is one directory, and opening it opens just that mailbox
. "$(dirname "$0")/../lib/suite.sh"
suite names
need_fuse
. "$SUITE_ROOT/tests/lib/ground.sh"
export LC_ALL=C.UTF-8
names=$SUITE_ROOT/tests/fs/names.py
mkdir "$SUITE_TMP/work"
cd "$SUITE_TMP/work" || exit 1 # where relative names would end

of_delimiter() { # NAME DELIMITER
    local name=$1 delimiter=$2 mnt=$SUITE_TMP/$1-mnt list=$SUITE_TMP/$1.json walk=$SUITE_TMP/$1-walk.json
    local say="delimiter $delimiter:"
    "$names" scenario "$delimiter" >"$list" || exit 1
    start_fake "$name" "$list"
    check "$say the account is mounted" mount_of "$name" "$mnt"
    check "$say find ends" timeout 300 find "$mnt" -type f
    check "$say every message can be read" sh -c "timeout 300 \"$names\" walk \"$mnt\" >\"$walk\""
    check "$say each mailbox is one directory, and no directory is two" "$names" found "$list" "$walk"
    check "$say every component is UTF-8, short and harmless" "$names" sound "$walk"
    check "$say names are written as the manual tells" "$names" known "$list" "$walk"
    check "$say the server was asked for exactly the names it had listed" "$names" selected "$list" "$SUITE_TMP/$name/log"
    check "$say what is kept on this disk has plain names" "$names" contained "$mnt.state" "$mnt.cache"
    cp "$walk" "$walk.first"
    check "$say it is unmounted" unmount "$mnt"
    check "$say it is mounted again" mount_of "$name" "$mnt"
    check "$say every message can be read again" sh -c "timeout 300 \"$names\" walk \"$mnt\" >\"$walk\""
    check "$say after a remount every mailbox is where it was" cmp <(sorted "$walk.first") <(sorted "$walk")
    check "$say it is unmounted" unmount "$mnt"
}
sorted() {
    /usr/bin/python3 -c 'import json, sys
walk = json.load(open(sys.argv[1]))
print(sorted(walk["folders"]), sorted(walk["found"].items()))' "$1"
}

of_delimiter slash /
of_delimiter dot .
of_delimiter none NIL
check_equal "nothing was made in the working directory" '' "$(find "$SUITE_TMP/work" -mindepth 1)"
check_equal "nothing was made beside the mounts" '' "$(find "$SUITE_TMP" -mindepth 1 -maxdepth 1 \
    ! -name '*-mnt*' ! -name '*.json*' ! -name '*.log' ! -name 'output*' ! -name slash ! -name dot ! -name none ! -name tls ! -name work ! -name reports)"
suite_end
