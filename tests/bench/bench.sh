#!/usr/bin/env bash
# bench.sh - measures the mount beside bare clients, in one run, and prints the ratios (make bench)
#
#   IMAPFS_BUILD=build tests/bench/bench.sh [--rounds N] [--rows NAME,...] [--list]
#
# Needs a machine that can mount; starts a private Dovecot and a proxy on loopback and ends both. Several minutes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../../scripts/fuse-ready"
exec /usr/bin/python3 "$here/measure.py" "$@"
