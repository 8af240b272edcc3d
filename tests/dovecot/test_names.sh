#!/usr/bin/env bash
# test_names.sh - every name that Dovecot gives a mailbox is one directory, with either separator
. "$(dirname "$0")/../lib/suite.sh"
suite names
need_fuse
. "$SUITE_ROOT/tests/lib/ground.sh"
export LC_ALL=C.UTF-8
names=$SUITE_ROOT/tests/fs/names.py

listed() { # NAME: mailboxes without the marks of what is new in them
    oracle "$1" list | sed 's/"attributes": \[[^]]*\]//' | sort
}

of_separator() { # NAME SEPARATOR OPTION...
    local name=$1 say="separator $2:" mnt=$SUITE_TMP/$1-mnt list=$SUITE_TMP/$1.json walk=$SUITE_TMP/$1-walk.json
    shift 2
    start_dovecot "$name" "$@"
    "$names" dovecot "$SUITE_TMP/$name" >"$list" || exit 1
    note "$say $(tr -cd '{' <"$list" | wc -c) mailboxes"
    listed "$name" >"$list.before"
    check "$say the account is mounted" mount_of "$name" "$mnt"
    check "$say find ends" timeout 300 find "$mnt" -type f
    check "$say every message can be read" sh -c "timeout 300 \"$names\" walk \"$mnt\" >\"$walk\""
    check "$say each mailbox is one directory, and no directory is two" "$names" found "$list" "$walk"
    check "$say every component is UTF-8, short and harmless" "$names" sound "$walk"
    check "$say names are written as the manual tells" "$names" known "$list" "$walk"
    check "$say what is kept on this disk has plain names" "$names" contained "$mnt.state" "$mnt.cache"
    check "$say it is unmounted" unmount "$mnt"
    listed "$name" >"$list.after"
    check "$say no mailbox of the server was made, renamed or removed" cmp "$list.before" "$list.after"
}

of_separator slash / --separator /
of_separator dot . --separator .
suite_end
