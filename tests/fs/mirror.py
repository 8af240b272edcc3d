#!/usr/bin/python3
"""Compare what a mount shows with what an independent client sees.

    mirror.py walk MOUNT [--no-bodies]     one JSON line per message file: mailbox name uid flags size mtime ino, and
                                           read and sha256, the number and hash of the bytes that were read
    mirror.py index FOLDER INDEX NASTY [N] an index for tests/dovecot/fill: N (or all) messages of the corpus below FOLDER
                                           and those in NASTY, for INBOX and, from the last to the first, for Second;
                                           made-up arrivals and flags, the same in both; prints the number of messages
    mirror.py CHECK DUMP WALK              DUMP is from imapclient.py; CHECK is one of
        bytes     the same messages, and of each the same bytes; a file is as long as what was read
        times     mtime is INTERNALDATE
        flags     user.imap.flags are the server's
        names     short, plain and unique
    mirror.py days MOUNT WALK              names begin with the day in UTC of the Date field, where that is a sound one
    mirror.py twins WALK ONE OTHER         both mailboxes hold the same bytes under the same names
    mirror.py same KEY,... WALK WALK       both walks saw the same files with the same values

Every failure is one line with the first few differences.
"""
import calendar
import collections
import email.utils
import hashlib
import json
import os
import re
import sys
import time

PIECE = 1 << 17
NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.[^\s/\\'\"$`*?\[\](){}<>|;&!#.]+\.[a-z2-7]{6}(~\d+)?\.eml", re.S)
MONTHS = b"Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"


def attribute(path, name):
    return os.getxattr(path, "user.imap." + name).decode()


def files(top):
    folders = [top]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda e: os.fsencode(e.name))
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield folder, entry


def look(top, folder, entry, bodies):
    row = {"mailbox": os.path.relpath(folder, top), "name": entry.name, "uid": int(attribute(entry.path, "uid"))}
    row["flags"] = " ".join(sorted(attribute(entry.path, "flags").split()))
    if bodies:
        digest, count = hashlib.sha256(), 0
        fd = os.open(entry.path, os.O_RDONLY)
        while True:
            data = os.read(fd, PIECE)
            if not data:
                break
            digest.update(data)
            count += len(data)
        os.close(fd)
        row["read"], row["sha256"] = count, digest.hexdigest()
    status = os.stat(entry.path)
    row["size"], row["mtime"], row["ino"] = status.st_size, status.st_mtime, status.st_ino
    return row


def walk(top, *options):
    for folder, entry in files(top):
        print(json.dumps(look(top, folder, entry, "--no-bodies" not in options), sort_keys=True))


def index(folder, out, nasty, count="0"):
    paths = sorted(os.path.join(d, f) for d, _, found in os.walk(folder) for f in found if f.endswith(".txt"))
    if int(count):
        paths = paths[:: max(1, len(paths) // int(count))][: int(count)]
    paths += sorted(os.path.join(nasty, f) for f in os.listdir(nasty) if f.endswith(".eml"))
    flags = ["", "\\Seen", "\\Flagged \\Seen", "$Forwarded", "\\Answered \\Seen Work"]
    rows = []
    for number, path in enumerate(paths):
        rows.append((path, flags[number % len(flags)], 1000000000 + number * 7919))
    with open(out, "w", encoding="utf-8") as f:
        for mailbox, order in (("INBOX", rows), ("Second", rows[::-1])):
            for path, words, date in order:
                f.write("%s\t%s\t%s\t%d\n" % (path, mailbox, words, date))
    print(len(rows))


def load(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def keyed(rows):
    found = {}
    for row in rows:
        key = (row["mailbox"], row["uid"])
        if key in found:
            fail(["%s UID %d is there twice" % key])
        found[key] = row
    return found


def fail(differences):
    print("\n".join(differences[:12]))
    if len(differences) > 12:
        print("and %d more" % (len(differences) - 12))
    sys.exit(1)


def pairs(dump, mount):
    """(what the client sees, what the mount shows) for each message; both must have the same ones, and some."""
    want, got = keyed(load(dump)), keyed(load(mount))
    wrong = ["%s UID %d is not in the mount" % k for k in sorted(set(want) - set(got))]
    wrong += ["%s UID %d is not on the server" % k for k in sorted(set(got) - set(want))]
    if wrong or not want:
        fail(wrong or ["there is nothing to compare"])
    return [(want[k], got[k]) for k in sorted(want)]


def each(dump, mount, wrong):
    """Fail if wrong(want, got) has something to say about any message."""
    said = []
    for want, got in pairs(dump, mount):
        what = wrong(want, got)
        if what:
            said.append("%s/%s (UID %d): %s" % (got["mailbox"], got["name"], got["uid"], what))
    if said:
        fail(said)


def wrong_bytes(want, got):
    if got["sha256"] != want["sha256"]:
        return "%d bytes read are not the server's %d" % (got["read"], want["size"])
    if not got["size"] == got["read"] == want["size"]:
        return "st_size %d, %d bytes read, %d on the server" % (got["size"], got["read"], want["size"])
    return None


def wrong_time(want, got):
    if got["mtime"] != want["internaldate"]:
        return "mtime %r, INTERNALDATE %r" % (got["mtime"], want["internaldate"])
    return None


def wrong_flags(want, got):
    if got["flags"] != " ".join(want["flags"]):
        return "flags %r, on the server %r" % (got["flags"], want["flags"])
    return None


def wrong_name(want, got):
    m = NAME.fullmatch(got["name"])
    if not m or len(os.fsencode(got["name"])) > 255 or not m.group(0).isprintable():
        return "no such name was promised"
    try:
        calendar.timegm(time.strptime(m.group(1), "%Y-%m-%d"))
    except ValueError:
        return "its day is in no calendar"
    return None


def names(dump, mount):
    each(dump, mount, wrong_name)
    for (mailbox, name), count in collections.Counter((r["mailbox"], r["name"]) for r in load(mount)).items():
        if count > 1:
            fail(["%s/%s is there %d times" % (mailbox, name, count)])


def days(mount_point, mount):
    """Messages with exactly one Date field of the form in RFC 5322, 3.3: the name begins with its day in UTC."""
    strict = re.compile(rb"(?:(?:%s), )?(?:0?[1-9]|1\d|2[0-8]) (?:%s) (?:199\d|20[012]\d) "
                        rb"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)? [+-](?:0\d|1[0-3])[0-5]\d"
                        % (b"Mon|Tue|Wed|Thu|Fri|Sat|Sun", MONTHS))
    said, judged = [], 0
    for row in load(mount):
        with open(os.path.join(mount_point, row["mailbox"], row["name"]), "rb") as f:
            head = f.read(1 << 16).split(b"\r\n\r\n", 1)[0]
        dates = re.findall(rb"(?im)^date:[ \t]*([^\r\n]*?)[ \t]*\r$", head + b"\r")
        if len(dates) != 1 or not strict.fullmatch(dates[0]) or re.search(rb"(?im)^date[ \t]+:", head):
            continue
        try:
            parsed = email.utils.parsedate_tz(dates[0].decode())
            day = time.strftime("%Y-%m-%d", time.gmtime(email.utils.mktime_tz(parsed)))
        except (ValueError, TypeError, OverflowError):
            continue
        judged += 1
        if not row["name"].startswith(day + "."):
            said.append("%s/%s: Date is %s" % (row["mailbox"], row["name"], dates[0].decode()))
    if said or judged < 100:
        fail(said or ["only %d messages could be judged" % judged])


def twins(mount, one, other):
    sides = [{r["name"]: r["sha256"] for r in load(mount) if r["mailbox"] == m} for m in (one, other)]
    if sides[0] != sides[1] or not sides[0]:
        differing = sorted(n for n in set(sides[0]) | set(sides[1]) if sides[0].get(n) != sides[1].get(n))
        fail(["%s: %s in %s, %s in %s" % (n, sides[0].get(n, "not")[:8], one, sides[1].get(n, "not")[:8], other)
              for n in differing] or ["there is nothing to compare"])


def same(keys, first, second):
    wanted = keys.split(",")
    sides = [{tuple(r[k] for k in ["mailbox", "uid"] + wanted) for r in load(p)} for p in (first, second)]
    if sides[0] != sides[1] or not sides[0]:
        fail(["only the first: %r" % (x,) for x in sorted(sides[0] - sides[1])] +
             ["only the second: %r" % (x,) for x in sorted(sides[1] - sides[0])] or ["there is nothing to compare"])


VERBS = {
    "walk": walk, "index": index, "names": names, "twins": twins, "same": same, "days": days,
    "bytes": lambda d, w: each(d, w, wrong_bytes),
    "times": lambda d, w: each(d, w, wrong_time),
    "flags": lambda d, w: each(d, w, wrong_flags),
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in VERBS:
        print(__doc__)
        sys.exit(2)
    VERBS[sys.argv[1]](*sys.argv[2:])
