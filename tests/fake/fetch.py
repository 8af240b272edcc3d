"""FETCH and SEARCH of the fake server, with what it gets wrong in a FETCH answer."""
import re

from model import compress, ranges
from quirks import text_of

FETCH_QUIRKS = {"size", "body", "volunteer", "unsolicited", "row", "interleave"}
SECTION = re.compile(rb"(?i)BODY(\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?\Z")
MACROS = {b"ALL": [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"], b"FAST": [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"]}


def header_end(body):
    """Where the header of a message ends, with its empty line."""
    m = re.search(rb"(?:\A|\r?\n)\r?\n", body)
    return m.end() if m else len(body)


def fields(body, names, others=False):
    """The header lines of those names (or of all others), with the closing empty line."""
    out = []
    for m in re.finditer(rb"[^\r\n:]+:[^\n]*\n?(?:[ \t][^\n]*\n?)*", body[: header_end(body)]):
        if (m.group().split(b":", 1)[0].strip().upper() in names) != others:
            out.append(m.group())
    return b"".join(out) + b"\r\n"


def section(body, what):
    upper = what.upper()
    if upper == b"":
        return body
    if upper == b"HEADER":
        return body[: header_end(body)]
    if upper in (b"TEXT", b"1"):
        return body[header_end(body):]
    m = re.match(rb"HEADER\.FIELDS(\.NOT)? \(([^)]*)\)", upper)
    if m:
        return fields(body, set(n.strip(b'"') for n in m.group(2).split()), bool(m.group(1)))
    raise ValueError("section")


def items_of(s, words):
    """The asked items as functions of (uid, place), in order; and whether \\Seen is to be set."""
    box, out, sets_seen = s.box, [], False
    for w in words:
        name = w.upper()
        m = SECTION.match(w)
        if name == b"UID":
            out.append((name, lambda u, i: b"UID %d" % u))
        elif name == b"FLAGS":
            out.append((name, lambda u, i: b"FLAGS (%s)" % b" ".join(box.flags(u))))
        elif name == b"INTERNALDATE":
            out.append((name, lambda u, i: b'INTERNALDATE "%s"' % box.date(u)))
        elif name == b"RFC822.SIZE":
            if box.messages or box.twins:
                out.append((name, lambda u, i: b"RFC822.SIZE %d" % box.size(u, i)))
            else:
                constant = b"RFC822.SIZE %d" % box.generated_size
                out.append((name, lambda u, i: constant))
        elif name == b"MODSEQ":
            out.append((name, lambda u, i: b"MODSEQ (%d)" % box.changed.get(u, 1)))
        elif m or name in (b"RFC822", b"RFC822.HEADER"):
            peek, what, origin, count = m.groups() if m else (None, b"" if name == b"RFC822" else b"HEADER", None, None)
            sets_seen |= not peek and name != b"RFC822.HEADER"
            out.append((b"BODY", Body(s, what, origin, count, None if m else name)))
        else:
            raise ValueError("item")
    return out, sets_seen


class Body:
    """One BODY[...] item."""

    def __init__(self, s, what, origin, count, name):
        self.s, self.what, self.origin, self.count = s, what, origin, count
        section(b"", what)
        self.label = name or b"BODY[" + (what.upper() if what else b"") + b"]"
        if origin is not None:
            self.label += b"<" + origin + b">"

    def bytes(self, uid, place):
        data = section(self.s.box.body(uid, place), self.what)
        if self.origin is not None:
            data = data[int(self.origin) : int(self.origin) + int(self.count)]
        return data

    def say(self, data):
        self.s.server.body_bytes += len(data) if self.what.upper()[:6] != b"HEADER" else 0
        return b"%s {%d}\r\n%s" % (self.label, len(data), data)

    def __call__(self, uid, place):
        return self.say(self.bytes(uid, place))


def applies(rule, uid):
    return "uids" not in rule.spec or uid in rule.spec["uids"]


def odd_body(item, uid, place, rule):
    """A body item as a quirk wants it; None: left out."""
    how = rule.spec["how"]
    if how == "missing":
        return None
    if how == "nil":
        return item.label + b" NIL"
    if how == "empty":
        return item.label + b" {0}\r\n"
    if how == "quoted":
        data = item.bytes(uid, place).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        return item.label + b' "' + data.replace(b"\r", b" ").replace(b"\n", b" ") + b'"'
    if how == "short":
        return item.say(item.bytes(uid, place)[: -rule.spec.get("bytes", 1)])
    if how == "other":
        return item.say(item.bytes(rule.spec["uid"], None))
    if how == "no_partial":
        whole = Body(item.s, item.what, None, None, None)
        return whole(uid, place)
    return item(uid, place)


def odd_row(s, items, uid, place, rules):
    """The answer for one message where quirks may have a say."""
    mine = [r for r in rules if applies(r, uid)]
    out, first = [], []
    for name, item in items:
        text = None
        for r in mine:
            do = r.spec["do"]
            if do == "size" and name == b"RFC822.SIZE":
                text = b"RFC822.SIZE %d" % r.spec.get("value", s.box.size(uid, place) + r.spec.get("add", 0))
            elif do == "body" and name == b"BODY":
                if r.spec["how"] == "no_row":
                    return b""
                text = odd_body(item, uid, place, r) or b""
                if r.spec["how"] == "before_uid":
                    first.append(text)
                    text = b""
        text = item(uid, place) if text is None else text
        if text:
            out.append(text)
    row = b"* %d FETCH (%s)\r\n" % (place + 1, b" ".join(first + out))
    for r in mine:
        do = r.spec["do"]
        if do == "volunteer":
            other = Body(s, b"", None, None, None)
            row = b"* %d FETCH (UID %d %s)\r\n" % (place + 1, r.spec["uid"], other(r.spec["uid"], None)) + row
        elif do == "unsolicited":
            row += b"* %d FETCH (FLAGS (%s))\r\n" % (place + 1, b" ".join(s.box.flags(uid)))
        elif do == "row":
            row = text_of(r.spec).replace(b"{seq}", b"%d" % (place + 1)).replace(b"{uid}", b"%d" % uid)
    return row


def rows(s, args, by_uid):
    """Yield the untagged answers."""
    words = args[1] if isinstance(args[1], list) else MACROS.get(args[1].upper(), [args[1]])
    words = list(words)
    since, vanished = None, False
    if len(args) > 2 and isinstance(args[2], list):
        modifiers = [a.upper() for a in args[2]]
        if b"CHANGEDSINCE" in modifiers:
            since = int(modifiers[modifiers.index(b"CHANGEDSINCE") + 1])
            vanished = b"VANISHED" in modifiers
            s.enabled.add("CONDSTORE")
            if b"MODSEQ" not in [w.upper() for w in words]:
                words.append(b"MODSEQ")
    if by_uid and b"UID" not in [w.upper() for w in words]:
        words.insert(0, b"UID")
    box = s.box
    items, sets_seen = items_of(s, words)
    calls = [f for _, f in items]
    rules = [r for r in s.rules if r.spec["do"] in FETCH_QUIRKS - {"interleave"}]
    chosen = s.wanted(args[0], by_uid)
    present = None if box.version == s.version else set(box.uids)
    if vanished:
        limits = ranges(args[0], box.uidnext)
        gone = [u for m, u in box.expunged if m > since and any(a <= u <= b for a, b in limits)]
        if gone:
            yield b"* VANISHED (EARLIER) " + compress(gone) + b"\r\n"
    view, changed = s.view, box.changed
    for i in chosen:
        u = view[i]
        if (present is not None and u not in present) or (since is not None and changed.get(u, 1) <= since):
            continue
        if sets_seen and not s.read_only and b"\\Seen" not in box.flags(u):
            box.set_flags(u, list(box.flags(u)) + [b"\\Seen"])
            s.server.note(s, "flags %r %d \\Seen set by a FETCH" % (box.name, u))
        if rules:
            yield odd_row(s, items, u, i, rules)
        else:
            yield b"* %d FETCH (%s)\r\n" % (i + 1, b" ".join([f(u, i) for f in calls]))


def do_fetch(s, tag, args, by_uid=False):
    if any(r.spec["do"] == "interleave" for r in s.rules):
        return interleaved(s, tag, args, by_uid)
    block, size = [], 0
    for row in rows(s, args, by_uid):
        block.append(row)
        size += len(row)
        if size > 1 << 16:
            s.out(b"".join(block))
            block, size = [], 0
    s.out(b"".join(block))
    return "OK done"


def interleaved(s, tag, args, by_uid):
    """The rows of two pipelined commands in turn, then both tagged lines, the second first."""
    from session import tokens

    mine = list(rows(s, args, by_uid))
    words = tokens(s.read_command())
    s.server.counts["UID FETCH"] += 1
    theirs = list(rows(s, words[3:], True))
    for i in range(max(len(mine), len(theirs))):
        for side in (theirs, mine):
            if i < len(side):
                s.out(side[i])
    s.out(words[0] + b" OK done\r\n")
    return "OK done"


# -- SEARCH


def key(s, words):
    """Take one search key off words; a function of a place."""
    box, view = s.box, s.view
    word = words.pop(0)
    if isinstance(word, list):
        keys = all_keys(s, list(word))
        return lambda i: all(k(i) for k in keys)
    upper = word.upper()
    if upper == b"ALL":
        return lambda i: True
    if upper == b"NOT":
        inner = key(s, words)
        return lambda i: not inner(i)
    if upper == b"OR":
        one, two = key(s, words), key(s, words)
        return lambda i: one(i) or two(i)
    if upper == b"UID":
        places = set(s.wanted(words.pop(0), True))
        return lambda i: i in places
    if upper in (b"KEYWORD", b"UNKEYWORD"):
        flag = words.pop(0)
        return lambda i: (flag in box.flags(view[i])) == (upper == b"KEYWORD")
    if upper == b"MODSEQ":
        since = int(words.pop(0))
        return lambda i: box.changed.get(view[i], 1) >= since
    if upper == b"HEADER":
        name, value = words.pop(0).upper(), words.pop(0).upper()
        return lambda i: value in fields(box.body(view[i], i), {name}).upper()
    if upper in (b"SUBJECT", b"FROM", b"TO"):
        value = words.pop(0).upper()
        return lambda i: value in fields(box.body(view[i], i), {upper}).upper()
    if upper in (b"TEXT", b"BODY"):
        value = words.pop(0).upper()
        return lambda i: value in box.body(view[i], i).upper()
    plain = upper[2:] if upper.startswith(b"UN") else upper
    if plain in (b"SEEN", b"DELETED", b"FLAGGED", b"ANSWERED", b"DRAFT"):
        flag = b"\\" + plain.capitalize()
        return lambda i: (flag in box.flags(view[i])) == (plain == upper)
    places = set(s.wanted(word, False))
    return lambda i: i in places


def all_keys(s, words):
    if words and isinstance(words[0], bytes) and words[0].upper() == b"CHARSET":
        words = words[2:]
    keys = []
    while words:
        keys.append(key(s, words))
    return keys


def search(s, words):
    if [w.upper() for w in words if isinstance(w, bytes)] == [b"ALL"] and len(words) == 1:
        return range(len(s.view))
    keys = all_keys(s, list(words))
    return [i for i in range(len(s.view)) if all(k(i) for k in keys)]
