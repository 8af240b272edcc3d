# shellcheck shell=bash
# ground.sh - servers and mounts for suites; after lib/suite.sh: . "$SUITE_ROOT/tests/lib/ground.sh"
#
#   start_dovecot NAME [OPTION...]   a private Dovecot in $SUITE_TMP/NAME, ended at the end; skips without Dovecot
#   start_fake NAME SCENARIO         tests/fake/imapd.py over TLS in $SUITE_TMP/NAME, ended at the end
#   fill NAME ARG...                 tests/dovecot/fill
#   oracle NAME COMMAND...           what an independent client sees (tests/lib/imapclient.py)
#   mount_of NAME DIR [ARG...]       mounts the account of that server; state and cache in $DIR.state and $DIR.cache.
#                                    MOUNT_PATH, if set, is the mailbox named in the source, such as /Work
#   account_options NAME DIR         the options mount_of gives, as one word for -o
#   account_source NAME              the source mount_of gives
#   status_of DIR KEY                one value of .imapfs/status.json
#   status_is DIR KEY VALUE          whether it is that
GROUND_TESTS=$SUITE_ROOT/tests

start_dovecot() {
    local name=$1
    shift
    if ! command -v dovecot /usr/sbin/dovecot >/dev/null; then
        skip_suite "Dovecot is not installed (Debian: dovecot-imapd)"
    fi
    # Started by root it serves as another user, to whom a mailbox below a closed folder is read-only.
    chmod 711 "$SUITE_TMP"
    at_exit "$GROUND_TESTS/dovecot/server" stop "$SUITE_TMP/$name"
    "$GROUND_TESTS/dovecot/server" start "$SUITE_TMP/$name" "$@" >"$SUITE_TMP/$name.log" 2>&1 || {
        sed 's/^/#   /' "$SUITE_TMP/$name.log"
        exit 1
    }
}

start_fake() {
    local tls=$SUITE_TMP/tls
    if ! [ -d "$tls" ]; then
        "$GROUND_TESTS/dovecot/server" certificates "$tls" || exit 1
    fi
    at_exit "$GROUND_TESTS/fake/imapd.py" stop "$SUITE_TMP/$1"
    "$GROUND_TESTS/fake/imapd.py" start "$SUITE_TMP/$1" --scenario "$2" --tls "$tls/good.pem" "$tls/good.key" --ca "$tls/ca.pem" ||
        exit 1
}

fill() {
    local name=$1
    shift
    "$GROUND_TESTS/dovecot/fill" "$SUITE_TMP/$name" "$@"
}

oracle() {
    local name=$1
    shift
    "$GROUND_TESTS/lib/imapclient.py" "$SUITE_TMP/$name" "$@"
}

env_of() { # NAME KEY
    sed -n "s/^$2=//p" "$SUITE_TMP/$1/env"
}

account_options() {
    printf 'tls_ca=%s,password_command=cat %s,state_dir=%s.state,cache_dir=%s.cache' \
        "$(env_of "$1" CA)" "$(env_of "$1" PASSWORD_FILE)" "$2" "$2"
}

account_source() {
    printf '%s@localhost:%s%s' "$(env_of "$1" USER)" "$(env_of "$1" IMAPS_PORT)" "${MOUNT_PATH:-}"
}

mount_of() {
    local name=$1 dir=$2
    shift 2
    run_mount "$dir" "$(account_source "$name")" -o "$(account_options "$name" "$dir")" "$@"
}

status_of() {
    /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1/.imapfs/status.json" "$2"
}

status_is() {
    [ "$(status_of "$1" "$2")" = "$3" ]
}
