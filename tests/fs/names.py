#!/usr/bin/python3
"""Mailboxes with names of every kind, and where a mount shows them.

A list is JSON: delimiter, and of each mailbox its name in hex; the message in the n-th says that it is number n.

    names.py scenario DELIMITER        such a list as a scenario of tests/fake/imapd.py; NIL is no delimiter
    names.py dovecot DIR               makes as many of them as the server in DIR takes, with a message in each, and
                                       prints the list
    names.py walk MOUNT                reads all messages and prints JSON: the directories, and which number is where
    names.py found LIST WALK           each mailbox is one directory, and no directory is two
    names.py sound WALK                every component is one that is safe to see and to use
    names.py known LIST WALK           mailboxes whose directory the manual tells are in that directory
    names.py selected LIST LOG         the mailboxes that the fake server was told to open are those of the list, byte
                                       for byte, and none was made, changed or removed
    names.py contained FOLDER...       below these there are only plain files and folders with plain names
"""
import ast
import json
import os
import random
import re
import stat
import sys
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from imapclient import Client, Refused, quote  # noqa: E402

# Names with "/" between levels and "\\" for none: (bytes, the directory as imapfs(7) tells it or None)
TOLD = [
    (b"Work", "Work"), (b"Work/Projects", "Work/Projects"), (b"inbox/sub", "INBOX/sub"),
    (b"..", "%2E."), (b".", "%2E"), (b"...", "%2E.."), (b".uid", "%2Euid"), (b".imapfs", "%2Eimapfs"),
    (b"a/../b", "a/%2E./b"), (b"a/./b", "a/%2E/b"), (b"../../../../etc/passwd", "%2E./%2E./%2E./%2E./etc/passwd"),
    (b"%", "%25"), (b"%2F", "%252F"), (b"%2E.", "%252E."), (b"%%", "%25%25"), (b"%25", "%2525"),
    (b"x.eml", "x%2Eeml"), (b"2020-01-01.Generated.abcdef.eml", "2020-01-01.Generated.abcdef%2Eeml"),
    (b"-rf", "-rf"), (b"~root", "~root"), (b"*", "*"), (b"a b", "a b"), (b"'\"`$(id)", "'\"`$(id)"), (b"\\", "\\"),
    (b"a\nb", None), (b"a\rb", None), (b"a\tb", None), (b"\x1b[31mred", None), (b"a\r\nA1 DELETE x", None),
    (b"&-", "&"), (b"a&-b", "a&b"), (b"Entw&APw-rfe", "Entw\u00fcrfe"), (b"&ZeVnLIqe-", "\u65e5\u672c\u8a9e"),
    (b"&2D3eAA-", "\U0001f600"), (b"&IC4-abc", "%E2%80%AEabc"), (b"lost", "lost"), (b"status", "status"),
    (b"deep/er/than/most/of/them/are/and/then/some", "deep/er/than/most/of/them/are/and/then/some"),
]
STRANGE = [
    b"&", b"&&", b"&A", b"&AGE-", b"&AGEAYg-", b"&APw", b"&AP-", b"&2D0-", b"&3gA-", b"&AAA-", b"&AC8-", b"&-&-",
    b"&AGkAbgBiAG8AeA-",
    b"\xff", b"\xfc", "Entw\u00fcrfe".encode(), "e\u0301".encode(), b"&AOk-", b"e&AwE-", b"\xc0\xae\xc0\xae",
    b"\xed\xa0\x80", b"%%FF",
    b"%%%FF", b"%%", b"%-", b"%empty", b"%~", b"%7E", b"\x7f", b"\x01", b" ", b"  ", b" lead", b"trail ",
    b"lost+found", b"%6Cost+found",
    b"X" * 255, b"X" * 256, b"X" * 255 + b"Y", b"X" * 1000, b"X" * 999 + b"Z", b"." * 300, b"&" * 300, b"%" * 120,
    b"&" + b"ZeVnLIqe" * 60 + b"-", b"&" + b"ZeVnLIqe" * 60 + b"ZeU-", b"NIL", b"{3}", b"{3+}", b"(", b")", b"[",
    b"\"", b"\\\\", b"#news",
    b"work", b"WORK", b"INBOX2", b"INBO&AFg-", b"Inbox.", b".Inbox", b"CON", b"C:", b"errors", b"status.json", b"..a",
    b"a..", b".eml", b"a.eml.eml",
    b"a.EML", b"x%2Eeml", b"A" * 600 + b"/" + b"B" * 600, b"//", b"/", b"a/", b"/a", b"a//b", b"///a", b"a/&/b",
    b"x/inbox", b"x/.uid", b"x/lost+found",
    b"x/y.eml",
]


def names():
    """Distinct names with "/" between levels; the same every time."""
    r = random.Random(3501)
    found = [n for n, _ in TOLD] + STRANGE
    alphabet = [b"a", b"B", b".", b"%", b"&", b"-", b"&-", b"&APw-", b"\xc3\xbc", b"\xff", b"~", b" ", b"2E", b"\n",
        b"*", b"/", b".eml", b"\\", b"\""]
    while len(found) < 400:
        name = b"".join(r.choice(alphabet) for _ in range(r.randrange(1, 9)))
        if name.upper() != b"INBOX":
            found.append(name)
    return list(dict.fromkeys(found))


def spelt(delimiter):
    """The names for a server with that delimiter: levels are divided by it, where that is possible."""
    if delimiter == b"/":
        return names()
    if delimiter is None:
        return names()  # one level each, slashes and all
    return list(dict.fromkeys(n.replace(delimiter, b"\0").replace(b"/", delimiter).replace(b"\0",
        b"/") for n in names()))


def body(number):
    return ("Subject: Mailbox\r\nDate: Wed, 1 Jan 2020 00:00:00 +0000\r\nMessage-ID: <box.%d@example.org>\r\n\r\n"
            "number %d\r\n" % (number, number))


def scenario(delimiter):
    d = None if delimiter == "NIL" else delimiter.encode()
    boxes = [{"hex": n.hex(), "messages": [{"body": body(i)}]} for i, n in enumerate([b"inbox"] + spelt(d))]
    print(json.dumps({"delimiter": None if d is None else delimiter, "mailboxes": boxes}))


def dovecot(folder):
    client = Client.at(folder)
    delimiter = client.mailboxes()[0][1]
    wanted = spelt(delimiter)
    for name in wanted:
        try:
            client.command(b"CREATE " + quote(name))
        except Refused:
            pass
    listed, number = [], 0
    for name, _, attributes in client.mailboxes():
        if {b"\\noselect", b"\\nonexistent"} & {a.lower() for a in attributes}:
            continue
        client.append(name, body(number).encode())
        listed.append({"hex": name.hex()})
        number += 1
    client.close()
    print(json.dumps({"delimiter": delimiter.decode(), "mailboxes": listed}))


def walk(top):
    found, folders, queue = {}, [], [os.fsencode(top)]
    while queue:
        folder = queue.pop()
        path = os.path.relpath(folder, os.fsencode(top)).decode("utf-8", "surrogateescape")
        folders.append(path)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    queue.append(entry.path)
                    continue
                with open(entry.path, "rb") as f:
                    number = re.search(rb"^number (\d+)\r$", f.read(), re.M)
                found.setdefault(int(number.group(1)), []).append(path)
    print(json.dumps({"folders": folders, "found": found}))


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def done(wrong):
    if wrong:
        print("\n".join(ascii(w) for w in wrong[:20]))
        sys.exit(1)


def boxes_of(path):
    return [bytes.fromhex(b["hex"]) for b in load(path)["mailboxes"]]


def found(listed, walked):
    boxes, where = boxes_of(listed), load(walked)["found"]
    wrong = ["%r is nowhere" % n for i, n in enumerate(boxes) if str(i) not in where]
    wrong += ["%r is in %r" % (boxes[int(i)], p) for i, p in where.items() if len(p) != 1]
    taken = {}
    for i, paths in where.items():
        for path in paths:
            if path in taken:
                wrong.append("%r and %r are both %r" % (boxes[int(i)], taken[path], path))
            taken[path] = boxes[int(i)]
    if len(boxes) < 50:
        wrong.append("only %d mailboxes" % len(boxes))
    done(wrong)


def sound(walked):
    wrong = []
    for path in load(walked)["folders"]:
        for part in path.split("/") if path != "." else []:
            try:
                plain = part.encode()
            except UnicodeEncodeError:
                wrong.append("%r is no UTF-8" % part)
                continue
            bad = [c for c in part if unicodedata.category(c) in ("Cc",
                "Cs") or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
            if bad or len(plain) > 255 or part.startswith(".") or part.endswith(".eml"):
                wrong.append("%r" % part)
    done(wrong)


def known(listed, walked):
    data = load(listed)
    delimiter, where = data["delimiter"], load(walked)["found"]
    number = {n: i for i, n in enumerate(boxes_of(listed))}
    wrong, judged = [], 0
    for name, path in TOLD:
        if path is None or (b"/" in name or b"." in name) and delimiter != "/":
            continue
        if name not in number:
            continue
        judged += 1
        if where.get(str(number[name])) != [path]:
            wrong.append("%r is in %r, not in %r" % (name, where.get(str(number[name])), path))
    if judged < 5:
        wrong.append("only %d of them are known" % judged)
    done(wrong)


def argument(line):
    """The mailbox of a command line as the server got it."""
    rest = line.split(b" ", 2)[2]
    m = re.match(rb"\{(\d+)\}", rest)  # the log leaves out the line end before a literal
    if m:
        return rest[m.end() : m.end() + int(m.group(1))]
    m = re.match(rb'"((?:[^"\\]|\\.)*)"', rest, re.S)
    return re.sub(rb"(?s)\\(.)", rb"\1", m.group(1)) if m else rest.split()[0]


def selected(listed, log):
    opened, wrong, verbs = set(), [], set()
    with open(log, encoding="utf-8") as f:
        for row in f:
            m = re.match(r"\d+ c\d+ \w+ < (b['\"].*)$", row)
            if not m:
                continue
            line = ast.literal_eval(m.group(1))
            if not re.match(rb"[!-~]+ [A-Za-z]+", line):
                continue
            verb = line.split()[1].upper()
            verbs.add(verb)
            if verb in (b"EXAMINE", b"SELECT"):
                opened.add(argument(line))
            if verb in (b"SELECT", b"CREATE", b"DELETE", b"RENAME", b"SUBSCRIBE", b"UNSUBSCRIBE", b"STORE",
                b"EXPUNGE", b"APPEND", b"COPY", b"MOVE"):
                wrong.append("the mount said %r" % line[:200])
    want = set(boxes_of(listed))
    inbox = {n for n in want if n.upper() == b"INBOX"}
    if any(n.upper() == b"INBOX" for n in opened):  # any case is the same mailbox (RFC 9051, 5.1)
        opened = {n for n in opened if n.upper() != b"INBOX"} | inbox
    wrong += ["%r was never opened" % n for n in sorted(want - opened)]
    wrong += ["%r was opened and is in no list" % n for n in sorted(opened - want)]
    done(wrong)


def contained(*folders):
    wrong, seen = [], 0
    for folder in folders:
        for top, inner, files in os.walk(os.fsencode(folder)):
            for name in inner + files:
                seen += 1
                mode = os.lstat(os.path.join(top, name)).st_mode
                if not re.fullmatch(rb"[A-Za-z0-9@:_-][A-Za-z0-9@:._-]*", name) or not (
                        stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)):
                    wrong.append("%r in %r" % (name, top))
    done(wrong if seen else ["there is nothing"])


VERBS = {f.__name__: f for f in (scenario, dovecot, walk, found, sound, known, selected, contained)}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in VERBS:
        print(__doc__)
        sys.exit(2)
    VERBS[sys.argv[1]](*sys.argv[2:])
