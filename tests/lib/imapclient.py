#!/usr/bin/python3
"""An independent raw IMAP client: the oracle of the tests.

    imapclient.py DIR COMMAND [argument...]        DIR/env as tests/dovecot/server and tests/fake/imapd.py write it
    imapclient.py --host H --port P --user U --password-file F [--ca FILE | --plain | --starttls] COMMAND ...

Mailbox names are the server's own bytes (modified UTF-7). Commands:
    list                          one JSON line per mailbox: name, delimiter, attributes, subscribed
    dump [MAILBOX...]             one JSON line per message: mailbox uid flags internaldate size rfc822_size sha256
                                  (size and sha256 are those of BODY.PEEK[]; without names: every selectable mailbox)
    rows MAILBOX                  as dump, without fetching bodies
    fetch MAILBOX UID             the bytes of BODY.PEEK[] on standard output
    status MAILBOX                JSON: messages, uidnext, uidvalidity, unseen
    append MAILBOX FILE [--flags '\\Seen x'] [--date EPOCH]      prints UIDVALIDITY UID
    flags MAILBOX UID +FLAG|-FLAG ...
    expunge MAILBOX UID...        by UID EXPUNGE
    move MAILBOX UID TARGET
    create | delete | subscribe | unsubscribe MAILBOX; rename OLD NEW
    recreate MAILBOX              delete and create: another UIDVALIDITY, no messages
    raw LINE                      one command; prints its answer
"""
import argparse
import calendar
import hashlib
import json
import os
import re
import socket
import ssl
import sys
import time


class Refused(Exception):
    """The server said NO or BAD."""


def read_env(folder):
    """DIR/env as a dict."""
    env = {}
    with open(os.path.join(folder, "env"), encoding="utf-8") as f:
        for line in f:
            name, _, value = line.strip().partition("=")
            env[name] = value
    return env


def quote(name):
    """A mailbox name or string as a quoted string or a non-synchronising literal."""
    if isinstance(name, str):
        name = name.encode()
    if any(c < 32 or c > 126 for c in name):
        return b"{%d+}\r\n%s" % (len(name), name)
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


TOKEN = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"|([()])|([^\s()"]+)')
DATE = re.compile(r"\s*(\d+)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def parse(parts):
    """The pieces of one response (bytes and literals in turn) as a nested list."""
    stack = [[]]
    for i, part in enumerate(parts):
        if i % 2:
            stack[-1].append(part)
            continue
        for m in TOKEN.finditer(part):
            if m.group(2) == b"(":
                stack.append([])
            elif m.group(2) == b")":
                done = stack.pop()
                stack[-1].append(done)
            elif m.group(3) is not None:
                stack[-1].append(m.group(3))
            else:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", m.group(1)))
    return stack[0]


def epoch(text):
    """INTERNALDATE as seconds since 1970, None if it is none."""
    m = DATE.match(text)
    if not m:
        return None
    day, month, year, hour, minute, second, sign, zh, zm = m.groups()
    t = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)))
    zone = int(zh) * 3600 + int(zm) * 60
    return t - zone if sign == "+" else t + zone


def internaldate(t):
    """Seconds since 1970 as an IMAP date-time."""
    g = time.gmtime(t)
    return '"%2d-%s-%04d %02d:%02d:%02d +0000"' % (g[2], MONTHS[g[1] - 1], g[0], g[3], g[4], g[5])


class Client:
    """One connection. command() sends and waits; send() and finish() pipeline."""

    def __init__(self, host, port, tls="implicit", ca=None, timeout=120):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count = 0
        self.file = None
        context = None
        if tls != "plain":
            context = ssl.create_default_context(cafile=ca)
        if tls == "implicit":
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("rb", 1 << 18)
        self.greeting = self.response()
        if tls == "starttls":
            self.command(b"STARTTLS")
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
            self.file = self.sock.makefile("rb", 1 << 18)

    @classmethod
    def at(cls, folder, login=True):
        """Connect and log in to the server of a folder with an env file."""
        env = read_env(folder)
        if env.get("IMAPS_PORT"):
            c = cls(env["HOST"], int(env["IMAPS_PORT"]), "implicit", env["CA"])
        else:
            c = cls(env["HOST"], int(env["IMAP_PORT"]), "plain")
        if login:
            with open(env["PASSWORD_FILE"], encoding="utf-8") as f:
                c.login(env["USER"], f.readline().rstrip("\n"))
        return c

    def login(self, user, password):
        self.command(b"LOGIN " + quote(user) + b" " + quote(password))

    def response(self):
        """One response line with its literals: [text, literal, text, ...]."""
        parts = []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("connection closed by the server")
            m = re.search(rb"\{(\d+)\}\r?\n$", line)
            if not m:
                parts.append(line.rstrip(b"\r\n"))
                return parts
            parts.append(line[: m.start()])
            size = int(m.group(1))
            data = self.file.read(size)
            if len(data) != size:
                raise ConnectionError("connection closed inside a literal")
            parts.append(data)

    def send(self, line):
        self.count += 1
        tag = b"o%d" % self.count
        self.sock.sendall(tag + b" " + line + b"\r\n")
        return tag

    def finish(self, tag, each=None):
        """Wait for the tagged answer; each(parts) sees every untagged one, else they are returned."""
        untagged = []
        while True:
            parts = self.response()
            if parts[0].startswith(tag + b" "):
                answer = parts[0][len(tag) + 1 :]
                if not answer.upper().startswith(b"OK"):
                    raise Refused(answer.decode("utf-8", "replace"))
                return untagged, answer
            if each is None:
                untagged.append(parts)
            else:
                each(parts)

    def command(self, line, each=None):
        return self.finish(self.send(line), each)

    def close(self):
        try:
            self.command(b"LOGOUT")
        except (OSError, Refused):
            pass
        self.sock.close()

    # -- what the tests ask for

    def mailboxes(self):
        """[(name bytes, delimiter bytes or None, [attributes])]"""
        found = []
        untagged, _ = self.command(b'LIST "" "*"')
        for parts in untagged:
            if parts[0].startswith(b"* LIST "):
                row = parse(parts)
                delimiter = None if row[3] == b"NIL" else row[3]
                found.append((row[4], delimiter, row[2]))
        return found

    def subscribed(self):
        untagged, _ = self.command(b'LSUB "" "*"')
        return {parse(p)[4] for p in untagged if p[0].startswith(b"* LSUB ")}

    def examine(self, name, how=b"EXAMINE"):
        """Numbers of the selected mailbox."""
        untagged, _ = self.command(how + b" " + quote(name))
        state = {}
        for parts in untagged:
            m = re.match(rb"\* (\d+) EXISTS", parts[0])
            if m:
                state["messages"] = int(m.group(1))
            for m in re.finditer(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]", parts[0]):
                state[m.group(1).decode().lower()] = int(m.group(2))
        return state

    def rows(self, name, bodies=True):
        """Yield a dict per message of a mailbox, in the server's order."""
        state = self.examine(name)
        if not state.get("messages"):
            return
        items = b"UID FLAGS INTERNALDATE RFC822.SIZE" + (b" BODY.PEEK[]" if bodies else b"")
        rows = []

        def each(parts):
            if b" FETCH (" not in parts[0]:
                return
            row = fetch_row(parts)
            if "uid" in row:
                row["mailbox"] = name.decode("utf-8", "backslashreplace")
                rows.append(row)

        self.command(b"UID FETCH 1:* (" + items + b")", each)
        yield from rows

    def body(self, name, uid):
        self.examine(name)
        untagged, _ = self.command(b"UID FETCH %d (UID BODY.PEEK[])" % uid)
        for parts in untagged:
            items = fetch_items(parts)
            if items.get(b"UID") == b"%d" % uid:
                return items.get(b"BODY[]")
        return None

    def append_start(self, name, data, flags=(), date=None):
        """Send an APPEND with a non-synchronising literal and return its tag: pipelines."""
        head = b"APPEND " + quote(name)
        if flags:
            head += b" (" + " ".join(flags).encode() + b")"
        if date is not None:
            head += b" " + internaldate(date).encode()
        return self.send(head + b" {%d+}\r\n" % len(data) + data)

    def append(self, name, data, flags=(), date=None):
        """(uidvalidity, uid), or None where the server does not say."""
        _, answer = self.finish(self.append_start(name, data, flags, date))
        m = re.search(rb"\[APPENDUID (\d+) (\d+)\]", answer)
        return (int(m.group(1)), int(m.group(2))) if m else None

    def store(self, name, uid, changes):
        self.examine(name, b"SELECT")
        for sign in "+-":
            flags = [c[1:] for c in changes if c[0] == sign]
            if flags:
                self.command(b"UID STORE %d %sFLAGS.SILENT (%s)" % (uid, sign.encode(), " ".join(flags).encode()))

    def expunge(self, name, uids):
        self.examine(name, b"SELECT")
        numbers = ",".join(str(u) for u in uids).encode()
        self.command(b"UID STORE " + numbers + b" +FLAGS.SILENT (\\Deleted)")
        self.command(b"UID EXPUNGE " + numbers)

    def status(self, name):
        untagged, _ = self.command(b"STATUS " + quote(name) + b" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
        for parts in untagged:
            if parts[0].startswith(b"* STATUS "):
                items = parse(parts)[-1]
                return {items[i].decode().lower(): int(items[i + 1]) for i in range(0, len(items), 2)}
        raise Refused("no STATUS in the answer")


def fetch_items(parts):
    """The items of a FETCH response by upper-case name."""
    row = parse(parts)
    if len(row) < 4 or row[2] != b"FETCH":
        return {}
    items = row[3]
    return {items[i].upper(): items[i + 1] for i in range(0, len(items) - 1, 2)}


def fetch_row(parts):
    items = fetch_items(parts)
    row = {}
    if b"UID" in items:
        row["uid"] = int(items[b"UID"])
    if b"FLAGS" in items:
        row["flags"] = sorted(f.decode() for f in items[b"FLAGS"] if f.lower() != b"\\recent")
    if b"INTERNALDATE" in items:
        row["internaldate"] = epoch(items[b"INTERNALDATE"].decode())
    if b"RFC822.SIZE" in items:
        row["rfc822_size"] = int(items[b"RFC822.SIZE"])
    if b"BODY[]" in items:
        row["size"] = len(items[b"BODY[]"])
        row["sha256"] = hashlib.sha256(items[b"BODY[]"]).hexdigest()
    return row


def selectable(client):
    for name, _, attributes in client.mailboxes():
        if not {b"\\noselect", b"\\nonexistent"} & {a.lower() for a in attributes}:
            yield name


def say(value):
    print(json.dumps(value, sort_keys=True))


def run_list(c, args):
    subscribed = c.subscribed()
    for name, delimiter, attributes in c.mailboxes():
        say({"name": name.decode("utf-8", "backslashreplace"), "delimiter": delimiter and delimiter.decode(),
             "attributes": sorted(a.decode() for a in attributes), "subscribed": name in subscribed})


def run_dump(c, args):
    for name in [a.encode() for a in args.arguments] or sorted(selectable(c)):
        for row in c.rows(name):
            say(row)


def run_append(c, args):
    name, path = args.arguments
    with open(path, "rb") as f:
        where = c.append(name, f.read(), args.flags.split(), args.date)
    print(*(where or ()))


def run_recreate(c, args):
    name = quote(args.arguments[0])
    c.command(b"DELETE " + name)
    before = int(time.time())
    while int(time.time()) == before:  # servers number a new mailbox by the clock's seconds
        time.sleep(0.05)
    c.command(b"CREATE " + name)


def run_raw(c, args):
    untagged, answer = c.command(args.arguments[0].encode())
    for parts in untagged:
        sys.stdout.buffer.write(b"".join(parts) + b"\n")
    sys.stdout.buffer.write(answer + b"\n")


def simple(verb):
    return lambda c, args: c.command(verb + b"".join(b" " + quote(a) for a in args.arguments))


COMMANDS = {
    "list": run_list,
    "dump": run_dump,
    "rows": lambda c, a: [say(row) for row in c.rows(a.arguments[0].encode(), False)],
    "fetch": lambda c, a: sys.stdout.buffer.write(c.body(a.arguments[0], int(a.arguments[1])) or b""),
    "status": lambda c, a: say(c.status(a.arguments[0])),
    "append": run_append,
    "flags": lambda c, a: c.store(a.arguments[0], int(a.arguments[1]), a.arguments[2:]),
    "expunge": lambda c, a: c.expunge(a.arguments[0], [int(u) for u in a.arguments[1:]]),
    "move": lambda c, a: (c.examine(a.arguments[0], b"SELECT"),
                          c.command(b"UID MOVE %d " % int(a.arguments[1]) + quote(a.arguments[2]))),
    "create": simple(b"CREATE"),
    "delete": simple(b"DELETE"),
    "rename": simple(b"RENAME"),
    "subscribe": simple(b"SUBSCRIBE"),
    "unsubscribe": simple(b"UNSUBSCRIBE"),
    "recreate": run_recreate,
    "raw": run_raw,
}


def connect(args):
    if not args.host:
        folder = args.arguments.pop(0)
        if not args.user:
            return Client.at(folder)
        c = Client.at(folder, login=False)
        with open(args.password_file or read_env(folder)["PASSWORD_FILE"], encoding="utf-8") as f:
            c.login(args.user, f.readline().rstrip("\n"))
        return c
    tls = "plain" if args.plain else "starttls" if args.starttls else "implicit"
    c = Client(args.host, args.port, tls, args.ca)
    with open(args.password_file, encoding="utf-8") as f:
        c.login(args.user, f.readline().rstrip("\n"))
    return c


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--host")
    p.add_argument("--port", type=int, default=993)
    p.add_argument("--user")
    p.add_argument("--password-file")
    p.add_argument("--ca")
    p.add_argument("--plain", action="store_true")
    p.add_argument("--starttls", action="store_true")
    p.add_argument("--flags", default="")
    p.add_argument("--date", type=int)
    args, rest = p.parse_known_args()  # a flag change such as -\Seen is an argument, too
    args.arguments = rest_in_order(p, rest)
    c = connect(args)
    command = args.arguments.pop(0)
    if command not in COMMANDS:
        p.error("no such command: " + command)
    try:
        COMMANDS[command](c, args)
    except Refused as e:
        sys.exit("imapclient: the server refused: %s" % e)
    c.close()


def rest_in_order(parser, rest):
    """What is not one of our own options, in the order given."""
    unknown = set(rest)
    return [a for a in sys.argv[1:] if a in unknown] if unknown else []


if __name__ == "__main__":
    main()
