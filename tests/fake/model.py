"""The mailboxes of the fake server: values and their changes, no wire. Callers hold Model.lock."""
import bisect
import os
import threading
import time

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
GENERATED_DATE = 1577836800


def date_text(value):
    """Seconds since 1970 as INTERNALDATE; a string stands as it is."""
    if isinstance(value, str):
        return value.encode("latin-1")
    g = time.gmtime(value)
    return b"%02d-%s-%04d %02d:%02d:%02d +0000" % (g[2], MONTHS[g[1] - 1].encode(), g[0], g[3], g[4], g[5])


def as_bytes(value):
    """A JSON value as bytes: text is UTF-8, {"hex": ...} and {"file": ...} say themselves."""
    if isinstance(value, dict):
        if "hex" in value:
            return bytes.fromhex(value["hex"])
        with open(value["file"], "rb") as f:
            return f.read()
    return value.encode()


class Message:
    __slots__ = ("body", "flags", "date", "size", "modseq")

    def __init__(self, body, flags=(), date=GENERATED_DATE, size=None):
        self.body = body
        self.flags = tuple(f.encode() if isinstance(f, str) else f for f in flags)
        self.date = date_text(date)
        self.size = size  # what RFC822.SIZE says; None: the truth
        self.modseq = 1


class Mailbox:
    def __init__(self, spec, delimiter):
        self.name = bytes.fromhex(spec["hex"]) if "hex" in spec else spec["name"].encode()
        self.delimiter = spec["delimiter"].encode() if spec.get("delimiter") else (
            None if "delimiter" in spec else delimiter)
        self.attributes = [a.encode() for a in spec.get("attributes", [])]
        self.subscribed = spec.get("subscribed", True)
        self.uidvalidity = spec.get("uidvalidity", 1000)
        self.pad = b"." * max(0, spec.get("size", 0) - len(self.generated(1, b"")))
        self.generated_size = len(self.generated(1, self.pad))
        first = spec.get("first_uid", 1)
        self.uids = list(range(first, first + spec.get("generate", 0)))
        self.messages = {}
        self.twins = {}  # messages after the first with the same UID, by place
        for m in spec.get("messages", []):
            self.put(Message(as_bytes(m.get("body", {"hex": ""}) if "file" not in m and "hex" not in m else m),
                             m.get("flags", ()), m.get("internaldate", GENERATED_DATE), m.get("size")), m.get("uid"))
        self.uidnext = spec.get("uidnext", max(self.uids, default=0) + 1)
        self.expunged = []  # (modseq, uid)
        self.version = 0
        self.changed = {}  # uid -> modseq of its last change
        self.modseq = max(1, spec.get("highestmodseq", 1))
        self.check_order()

    def check_order(self):
        self.ordered = all(a < b for a, b in zip(self.uids, self.uids[1:]))

    @staticmethod
    def generated(uid, pad):
        return (b"From: Maker <maker@example.org>\r\nTo: reader@example.org\r\nSubject: Generated %010d\r\n"
                b"Date: Wed, 01 Jan 2020 00:00:00 +0000\r\nMessage-ID: <generated.%010d@example.org>\r\n\r\n"
                b"Body of %010d\r\n%s" % (uid, uid, uid, pad))

    def put(self, message, uid=None):
        if uid is None:
            uid = max(self.uids, default=0) + 1
        if uid in self.messages:
            self.twins[len(self.uids)] = message
        else:
            self.messages[uid] = message
        self.uids.append(uid)
        self.uidnext = max(getattr(self, "uidnext", 1), uid + 1)
        return uid

    def body(self, uid, place=None):
        m = self.twins.get(place) or self.messages.get(uid)
        return self.generated(uid, self.pad) if m is None or m.body is None else m.body

    def size(self, uid, place=None):
        m = self.twins.get(place) or self.messages.get(uid)
        if m is None:
            return self.generated_size
        return m.size if m.size is not None else len(self.body(uid, place))

    def flags(self, uid):
        m = self.messages.get(uid)
        return m.flags if m else ()

    def date(self, uid):
        m = self.messages.get(uid)
        return m.date if m else date_text(GENERATED_DATE + uid)

    # -- changes

    def touch(self, uid=None):
        self.modseq += 1
        self.version += 1
        if uid is not None:
            self.changed[uid] = self.modseq

    def append(self, message):
        uid = self.put(message, self.uidnext)
        self.touch(uid)
        return uid

    def set_flags(self, uid, flags):
        m = self.messages.get(uid)
        if m is None:
            m = self.messages[uid] = Message(None, (), GENERATED_DATE + uid, self.generated_size)
        m.flags = tuple(f.encode() if isinstance(f, str) else f for f in flags)
        self.touch(uid)

    def expunge(self, uids):
        gone = set(uids) & set(self.uids)
        if gone:
            self.uids = [u for u in self.uids if u not in gone]
            self.touch()
            for u in sorted(gone):
                self.messages.pop(u, None)
                self.changed.pop(u, None)
                self.expunged.append((self.modseq, u))
        return sorted(gone)


def ranges(text, last):
    """A set such as 3:5,9,12:* as (low, high) pairs; ValueError if it is none."""
    out = []
    for part in text.split(b","):
        ends = [last if e == b"*" else int(e) for e in part.split(b":")]
        if len(ends) > 2 or min(ends) < 0:
            raise ValueError(text)
        out.append((min(ends), max(ends)))
    return out


def places(uids, ordered, wanted):
    """Indexes into uids of those within the ranges, in the mailbox's order."""
    if not ordered:
        return [i for i, u in enumerate(uids) if any(a <= u <= b for a, b in wanted)]
    found = []
    for a, b in wanted:
        found.append(range(bisect.bisect_left(uids, a), bisect.bisect_right(uids, b)))
    if len(found) == 1:
        return found[0]
    return sorted(set(i for r in found for i in r))


def compress(uids):
    """UIDs as a set in the protocol's syntax."""
    out, uids = [], sorted(uids)
    i = 0
    while i < len(uids):
        j = i
        while j + 1 < len(uids) and uids[j + 1] == uids[j] + 1:
            j += 1
        out.append(b"%d" % uids[i] if i == j else b"%d:%d" % (uids[i], uids[j]))
        i = j + 1
    return b",".join(out)


class Model:
    def __init__(self, scenario):
        self.lock = threading.RLock()
        self.delimiter = scenario.get("delimiter", "/")
        self.delimiter = self.delimiter.encode() if self.delimiter else None
        self.boxes = [Mailbox(s, self.delimiter) for s in scenario.get("mailboxes", [{"name": "INBOX"}])]
        self.next_validity = 5000

    def find(self, name):
        for b in self.boxes:
            if b.name == name or b.name.upper() == b"INBOX" == name.upper():
                return b
        return None

    def selectable(self, name):
        b = self.find(name)
        return None if b is None or {a.lower() for a in b.attributes} & {b"\\noselect", b"\\nonexistent"} else b

    def create(self, name):
        self.next_validity += 1
        b = Mailbox({"hex": name.hex(), "uidvalidity": self.next_validity, "subscribed": False}, self.delimiter)
        b.delimiter = self.delimiter
        self.boxes.append(b)
        return b

    def rename(self, old, new):
        for b in self.boxes:
            if b.name == old:
                b.name = new
            elif b.delimiter and b.name.startswith(old + b.delimiter):
                b.name = new + b.name[len(old):]

    def control(self, op, r):
        """A change from outside, by the control socket."""
        name = bytes.fromhex(r["hex"]) if "hex" in r else r.get("mailbox", "INBOX").encode()
        with self.lock:
            if op == "create":
                self.boxes.append(Mailbox({"name": name.decode("latin-1"), **r.get("spec", {})}, self.delimiter))
                return {}
            b = self.find(name)
            if b is None:
                raise ValueError("no such mailbox: %r" % name)
            if op == "expunge":
                return {"uids": b.expunge(r["uids"])}
            if op == "append":
                body = as_bytes(r["body"]) if "body" in r else as_bytes({"file": os.path.abspath(r["file"])})
                m = Message(body, r.get("flags", ()), r.get("internaldate", GENERATED_DATE), r.get("size"))
                return {"uid": b.append(m)}
            if op == "flags":
                b.set_flags(r["uid"], r["flags"])
            elif op == "uidvalidity":
                b.uidvalidity = r["value"]
                b.version += 1
                if r.get("renumber"):  # the same messages under other UIDs
                    shift = r["renumber"]
                    b.messages = {u + shift: m for u, m in b.messages.items()}
                    b.uids = [u + shift for u in b.uids]
                    b.uidnext += shift
                    b.changed, b.expunged = {}, []
            elif op == "rename":
                self.rename(b.name, as_bytes(r["to"]))
            elif op == "delete":
                self.boxes.remove(b)
                b.version += 1
            elif op == "messages":
                return {"uids": b.uids[:100000], "uidvalidity": b.uidvalidity,
                        "flags": {str(u): [f.decode("latin-1") for f in b.flags(u)] for u in b.uids[:10000]}}
            else:
                raise ValueError("no such op: " + op)
            return {}
