"""One connection of the fake server: reads commands, answers from the model, through the pipe of quirks."""
import base64
import hashlib
import hmac
import os
import re
import select
import socket
import time

import fetch
from model import GENERATED_DATE, Message, compress, places, ranges
from quirks import Gone, Pipe, insert, text_of

TOKEN = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"|([()])|([^\s()"\[{]*\[[^\]]*\](?:<[\d.]+>)?|[^\s()"]+)')
FLUSH = 1 << 17


class Refuse(Exception):
    """A tagged NO or BAD; the text follows the word."""


def tokens(parts):
    """A command's pieces (text, literal, text, ...) as a nested list of bytes."""
    stack = [[]]
    for i, part in enumerate(parts):
        if i % 2:
            stack[-1].append(part)
            continue
        for m in TOKEN.finditer(part):
            if m.group(2) == b"(":
                stack.append([])
            elif m.group(2) == b")":
                if len(stack) < 2:
                    raise Refuse("BAD parenthesis")
                done = stack.pop()
                stack[-1].append(done)
            elif m.group(3) is not None:
                stack[-1].append(m.group(3))
            else:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", m.group(1)))
    if len(stack) != 1:
        raise Refuse("BAD parenthesis")
    return stack[0]


def quoted(name):
    """A name as the server says it: quoted, or a literal where that cannot be."""
    if any(c < 32 or c > 126 for c in name):
        return b"{%d}\r\n%s" % (len(name), name)
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Session:
    def __init__(self, server, conn, number):
        self.server, self.model, self.id = server, server.model, number
        self.plain_socket = self.conn = conn
        self.secure = False
        self.buf = bytearray()
        self.pipe = Pipe(self)
        self.pending = []
        self.pending_size = 0
        self.state = "new"
        self.box = None
        self.read_only = True
        self.view = []
        self.enabled = set()
        self.capabilities = None
        self.rules = []

    # -- bytes

    def raw_send(self, data):
        if data:
            self.server.bytes_sent += len(data)
            self.conn.sendall(data)

    def out(self, data):
        self.pending.append(data)
        self.pending_size += len(data)
        if self.pending_size > FLUSH:
            self.flush()

    def flush(self):
        data = b"".join(self.pending)
        self.pending, self.pending_size = [], 0
        self.pipe.write(data)

    def line(self, text):
        self.out(b"* " + text + b"\r\n")

    def tagged(self, tag, text):
        self.flush()
        for r in self.rules:
            if r.spec["do"] == "insert" and r.spec.get("at") == "end":
                insert(self, r)
        for r in self.rules:
            if r.spec["do"] == "tagged":
                self.out(text_of(r.spec, tag=tag) + b"\r\n")
                break
        else:
            self.out(tag + b" " + (text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        self.flush()

    def fill(self):
        data = self.conn.recv(1 << 16)
        if not data:
            raise Gone
        self.buf += data

    def read_line(self):
        start = 0
        while True:
            end = self.buf.find(b"\n", start)
            if end >= 0:
                text = bytes(self.buf[:end]).rstrip(b"\r")
                del self.buf[: end + 1]
                return text
            start = len(self.buf)
            if start > 1 << 20:
                raise Gone
            self.fill()

    def read_bytes(self, n):
        while len(self.buf) < n:
            self.fill()
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def read_command(self):
        """[text, literal, text, ...] of one command."""
        parts = []
        while True:
            text = self.read_line()
            m = re.search(rb"\{(\d+)(\+?)\}$", text)
            if not m:
                parts.append(text)
                break
            parts.append(text[: m.start()])
            if not m.group(2):
                if self.server.scenario.get("literal_ok", True) is False:
                    self.server.heard(self, text)
                    self.raw_send(parts[0].split(b" ", 1)[0] + b" NO literal refused\r\n")
                    parts = []
                    continue
                self.raw_send(b"+ go on\r\n")
            parts.append(self.read_bytes(int(m.group(1))))
        shown = b"".join(p if i % 2 == 0 else b"{%d}%s" % (len(p), p) for i, p in enumerate(parts))
        self.server.heard(self, shown)
        return parts

    # -- life

    def run(self):
        self.begin("CONNECT")
        if self.server.mode == "tls":
            self.to_tls()
        greeting = self.server.scenario.get("greeting", "* OK ready").encode("latin-1")
        self.begin("GREETING")
        if greeting:
            self.out(greeting + b"\r\n")
            self.flush()
        for r in self.rules:
            if r.spec["do"] == "insert" and r.spec.get("at") == "end":
                insert(self, r)
        if greeting.upper().startswith(b"* PREAUTH"):
            self.state = "authenticated"
        while self.state != "out":
            self.one(self.read_command())

    def to_tls(self):
        self.conn = self.plain_socket = self.server.context.wrap_socket(self.conn, server_side=True)
        self.secure = True

    def drop(self, how):
        if how == "rst":
            import struct

            self.plain_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket.shutdown(self.plain_socket, socket.SHUT_RDWR)

    def end(self):
        try:
            if self.state == "out" and self.secure:
                self.conn.settimeout(1)
                self.conn.unwrap()
        except (OSError, ValueError):
            pass
        self.plain_socket.close()

    def begin(self, event, line=b""):
        """A new reply: match the rules, do what is to be done at once."""
        self.rules = self.server.rules_for(event, line)
        self.pipe.begin(self.rules)
        for r in self.rules:
            do = r.spec["do"]
            if do == "delay":
                time.sleep(r.spec["seconds"])
            elif do == "uidvalidity":
                self.line(b"OK [UIDVALIDITY %d] changed" % r.spec["value"])
            elif do == "capabilities":
                self.capabilities = list(r.spec["value"])
            elif do in ("close", "rst", "stall", "half_close", "bye", "insert") and "after_bytes" not in r.spec:
                if r.spec.get("at") != "end":
                    self.flush()
                    self.pipe.act(r)

    def one(self, parts):
        head = parts[0].split(b" ", 2)
        tag = head[0]
        verb = head[1].upper().decode("latin-1") if len(head) > 1 else ""
        if verb == "UID" and len(head) > 2:
            verb = "UID " + head[2].split(b" ", 1)[0].upper().decode("latin-1")
        self.server.counts[verb] += 1
        self.begin(verb, b" ".join(parts))
        for r in self.rules:
            if r.spec["do"] == "ignore":
                return
            if r.spec["do"] == "answer":
                self.out(text_of(r.spec, tag=tag))
                self.flush()
                return
        try:
            words = tokens(parts)
            handler = HANDLERS.get(verb)
            if handler is None:
                raise Refuse("BAD unknown command")
            need, function = handler
            if need == "selected" and self.box is None:
                raise Refuse("BAD no mailbox selected")
            if need != "any" and self.state == "new":
                raise Refuse("BAD log in first")
            answer = function(self, tag, words[2 if not verb.startswith("UID ") else 3 :])
            if answer is not None:
                if verb not in ("FETCH", "STORE", "SEARCH"):
                    self.news()
                self.tagged(tag, answer)
        except Refuse as e:
            self.tagged(tag, str(e))
        except (ValueError, IndexError) as e:
            self.tagged(tag, "BAD " + type(e).__name__)

    def caps(self):
        s = self.server
        if self.capabilities is not None:
            return self.capabilities
        if self.state != "new":
            return s.capabilities
        if "before_login" in s.scenario:
            return s.scenario["before_login"]
        base = [c for c in ("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE") if c in s.capabilities]
        if s.mode == "starttls" and not self.secure:
            return base + ["STARTTLS", "LOGINDISABLED"]
        return base + ["AUTH=" + a for a in s.auth]

    # -- news of other sessions' changes

    def news(self):
        """Untagged EXPUNGE (or VANISHED), EXISTS and FETCH for what changed since the last look."""
        box = self.box
        if box is None or box.version == self.version:
            return
        with self.model.lock:
            now = set(box.uids)
            gone = [i for i, u in enumerate(self.view) if u not in now]
            if gone and "QRESYNC" in self.enabled:
                self.line(b"VANISHED " + compress([self.view[i] for i in gone]))
            elif gone:
                for i in reversed(gone):
                    self.line(b"%d EXPUNGE" % (i + 1))
            if box.uidvalidity != self.uidvalidity and box.uidvalidity is not None:
                self.line(b"OK [UIDVALIDITY %d] changed" % box.uidvalidity)
            if list(box.uids) != [u for u in self.view if u in now]:
                self.line(b"%d EXISTS" % len(box.uids))
            self.view = list(box.uids)
            for i, u in enumerate(self.view):
                if box.changed.get(u, 0) > self.seen_modseq and u in self.known:
                    modseq = b" MODSEQ (%d)" % box.changed[u] if self.enabled else b""
                    self.line(b"%d FETCH (UID %d FLAGS (%s)%s)" % (i + 1, u, b" ".join(box.flags(u)), modseq))
            self.mark()

    def mark(self):
        self.version, self.uidvalidity, self.seen_modseq = self.box.version, self.box.uidvalidity, self.box.modseq
        self.known = set(self.view)

    def wanted(self, text, by_uid):
        """Places of a set within the view."""
        if by_uid:
            last = max(self.view, default=0)
            return places(self.view, self.box.ordered, ranges(text, last))
        found = [i for a, b in ranges(text, len(self.view)) for i in range(max(a, 1) - 1, min(b, len(self.view)))]
        return sorted(set(found))


# -- commands: each returns the tagged text, or None where it has answered


def do_capability(s, tag, args):
    s.line(b"CAPABILITY " + " ".join(s.caps()).encode())
    return "OK done"


def do_starttls(s, tag, args):
    sc = s.server.scenario
    answer = sc.get("starttls", "OK begin").encode("latin-1")
    s.flush()
    s.out(tag + b" " + answer + b"\r\n" + sc.get("starttls_inject", "").encode("latin-1"))
    for r in s.rules:
        if r.spec["do"] == "tagged":
            s.pending[-1] = text_of(r.spec, tag=tag) + b"\r\n"
    s.flush()
    if answer.upper().startswith(b"OK") and s.server.context:
        s.buf.clear()
        s.to_tls()


def login_result(s, right):
    sc = s.server.scenario
    if "login" in sc:
        return sc["login"]
    if not right:
        s.server.note(s, "login refused")
        return sc.get("login_failed", "NO [AUTHENTICATIONFAILED] wrong")
    s.state = "authenticated"
    s.server.logins += 1
    s.server.note(s, "login")
    return "OK logged in"


def refuse_early(s):
    if "LOGINDISABLED" in s.caps():
        raise Refuse("NO [PRIVACYREQUIRED] not without TLS")


def do_login(s, tag, args):
    refuse_early(s)
    return login_result(s, args == [s.server.user.encode(), s.server.password.encode()])


def prompt(s, challenge=b""):
    s.raw_send(b"+ " + base64.b64encode(challenge) + b"\r\n")
    line = s.read_line()
    s.server.heard(s, line)
    if line == b"*":
        raise Refuse("BAD cancelled")
    return base64.b64decode(line)


def do_authenticate(s, tag, args):
    refuse_early(s)
    mechanism = args[0].upper().decode("latin-1")
    if mechanism not in s.server.auth:
        raise Refuse("NO no such mechanism")
    first = base64.b64decode(args[1].replace(b"=", b"", args[1] == b"=")) if len(args) > 1 else prompt(s)
    password = s.server.password.encode()
    if mechanism == "PLAIN":
        return login_result(s, first.split(b"\0")[1:] == [s.server.user.encode(), password])
    if mechanism == "LOGIN":
        return login_result(s, [first, prompt(s, b"Password:")] == [s.server.user.encode(), password])
    return scram(s, first, password)


def scram(s, first, password):
    bare = first.split(b",", 2)[2]
    fields = dict(f.split(b"=", 1) for f in bare.split(b","))
    salt = hashlib.sha256(s.server.user.encode()).digest()[:16]
    rounds = s.server.scenario.get("iterations", 4096)
    nonce = fields[b"r"] + base64.b64encode(os.urandom(12))
    answer = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(salt), rounds)
    final = prompt(s, answer)
    without = final[: final.rindex(b",p=")]
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, min(rounds, 100000))
    key = hmac.digest(salted, b"Client Key", "sha256")
    message = bare + b"," + answer + b"," + without
    proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.sha256(key).digest(), message, "sha256")))
    right = fields[b"n"] == s.server.user.encode() and hmac.compare_digest(
        base64.b64encode(proof), final[final.rindex(b",p=") + 3 :]) and (b"r=" + nonce) in without
    if right and "login" not in s.server.scenario:
        signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        if s.server.scenario.get("bad_signature"):
            signature = bytes(32)
        prompt(s, b"v=" + base64.b64encode(signature))
    return login_result(s, right)


def do_namespace(s, tag, args):
    d = s.model.delimiter
    prefix = s.server.scenario.get("prefix", "").encode()
    s.line(b"NAMESPACE ((%s %s)) NIL NIL" % (quoted(prefix), quoted(d) if d else b"NIL"))
    return "OK done"


def do_list(s, tag, args, verb=b"LIST"):
    only_subscribed = verb == b"LSUB"
    if args and isinstance(args[0], list):
        only_subscribed = b"SUBSCRIBED" in [a.upper() for a in args.pop(0)]
    returns = []
    if len(args) > 3 and args[2].upper() == b"RETURN":
        returns = [a.upper() if isinstance(a, bytes) else a for a in args[3]]
    patterns = args[1] if isinstance(args[1], list) else [args[1]]
    if patterns == [b""]:
        d = s.model.delimiter
        s.line(b'%s (\\Noselect) %s ""' % (verb, quoted(d) if d else b"NIL"))
        return "OK done"
    regexes = []
    for p in patterns:
        d = re.escape(s.model.delimiter or b"")
        one = b"[^" + d + b"]*" if d else b".*"
        body = b"".join(b".*" if c == b"*" else one if c == b"%" else re.escape(c)
                        for c in re.findall(rb"(?s).", args[0] + p))
        regexes.append(re.compile(b"(?s)" + body + b"\\Z", re.I if p.upper() == b"INBOX" else 0))
    with s.model.lock:
        parents = set()
        for b in s.model.boxes:
            at = b.name.rfind(b.delimiter) if b.delimiter else -1
            while at > 0:
                parents.add(b.name[:at])
                at = b.name.rfind(b.delimiter, 0, at)
        for b in list(s.model.boxes):
            if (only_subscribed and not b.subscribed) or not any(r.match(b.name) for r in regexes):
                continue
            attributes = list(b.attributes)
            if "CHILDREN" in s.server.capabilities and b"\\NoInferiors" not in attributes:
                attributes.append(b"\\HasChildren" if b.name in parents else b"\\HasNoChildren")
            if b.subscribed and (b"SUBSCRIBED" in returns or only_subscribed) and verb == b"LIST":
                attributes.append(b"\\Subscribed")
            s.line(b"%s (%s) %s %s" % (verb, b" ".join(attributes), quoted(b.delimiter) if b.delimiter else b"NIL",
                                       quoted(b.name)))
            if b"STATUS" in returns and s.model.selectable(b.name):
                status(s, b, returns[returns.index(b"STATUS") + 1])
    return "OK done"


def status(s, b, items):
    out = []
    for item in items:
        item = item.upper()
        if item == b"UIDVALIDITY" and b.uidvalidity is None:
            continue
        value = {
            b"MESSAGES": lambda: len(b.uids), b"UIDNEXT": lambda: b.uidnext, b"UIDVALIDITY": lambda: b.uidvalidity,
            b"RECENT": lambda: 0, b"HIGHESTMODSEQ": lambda: b.modseq,
            b"UNSEEN": lambda: len(b.uids) - sum(b"\\Seen" in m.flags for m in b.messages.values()),
            b"SIZE": lambda: sum(b.size(u) for u in b.uids),
        }.get(item)
        if value is None:
            raise Refuse("BAD unknown status item")
        out.append(b"%s %d" % (item, value()))
    s.line(b"STATUS %s (%s)" % (quoted(b.name), b" ".join(out)))


def need_box(s, name):
    b = s.model.selectable(name)
    if b is None:
        raise Refuse("NO [NONEXISTENT] no such mailbox")
    return b


def do_status(s, tag, args):
    with s.model.lock:
        status(s, need_box(s, args[0]), args[1])
    return "OK done"


def do_select(s, tag, args, read_only=False):
    s.box = None
    with s.model.lock:
        b = need_box(s, args[0])
        s.box, s.read_only, s.view = b, read_only, list(b.uids)
        s.mark()
        if len(args) > 1:
            s.enabled.add("CONDSTORE")
        s.line(b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")
        s.line(b"OK [PERMANENTFLAGS (%s)] kept" % (b"" if read_only else b"\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*"))
        s.line(b"%d EXISTS" % len(s.view))
        s.line(b"0 RECENT")
        if b.uidvalidity is not None:
            s.line(b"OK [UIDVALIDITY %d] valid" % b.uidvalidity)
        s.line(b"OK [UIDNEXT %d] next" % b.uidnext)
        if "CONDSTORE" in s.server.capabilities:
            s.line(b"OK [HIGHESTMODSEQ %d] highest" % b.modseq)
        if len(args) > 1 and args[1][0].upper() == b"QRESYNC":
            validity, since = int(args[1][1][0]), int(args[1][1][1])
            if validity == b.uidvalidity:
                gone = [u for m, u in b.expunged if m > since]
                if gone:
                    s.line(b"VANISHED (EARLIER) " + compress(gone))
                for i, u in enumerate(s.view):
                    if b.changed.get(u, 1) > since:
                        s.line(b"%d FETCH (UID %d FLAGS (%s) MODSEQ (%d))" % (
                            i + 1, u, b" ".join(b.flags(u)), b.changed[u]))
    return "OK [READ-ONLY] done" if read_only else "OK [READ-WRITE] done"


def do_unselect(s, tag, args):
    s.box = None
    return "OK done"


def do_enable(s, tag, args):
    on = [a.upper() for a in args if a.upper().decode() in s.server.capabilities]
    s.enabled |= {a.decode() for a in on}
    s.line(b"ENABLED " + b" ".join(on))
    return "OK done"


def do_quota(s, tag, args):
    q = s.server.scenario.get("quota", {"STORAGE": [10, 1000]})
    if q is None:
        s.line(b"QUOTAROOT " + quoted(args[0]))
    else:
        s.line(b'QUOTAROOT %s "root"' % quoted(args[0]))
        s.line(b'QUOTA "root" (%s)' % b" ".join(b"%s %d %d" % (k.encode(), *v) for k, v in q.items()))
    return "OK done"


def do_idle(s, tag, args):
    s.news()
    s.flush()
    s.raw_send(b"+ idling\r\n")
    while True:
        s.news()
        s.flush()
        ready = b"\n" in s.buf or (s.secure and s.conn.pending()) or select.select([s.conn], [], [], 0.02)[0]
        if ready:
            line = s.read_line()
            s.server.heard(s, line)
            s.server.counts["DONE"] += 1
            s.begin("DONE", line)
            return "OK done" if line.upper() == b"DONE" else "BAD expected DONE"


def do_logout(s, tag, args):
    s.line(b"BYE bye")
    s.box = None
    s.tagged(tag, "OK done")
    s.state = "out"


def need_write(s):
    if s.read_only:
        raise Refuse("NO [READ-ONLY] selected by EXAMINE")


def do_store(s, tag, args, by_uid=False):
    need_write(s)
    if isinstance(args[1], list):
        args.pop(1)
    kind = args[1].upper()
    flags = args[2] if isinstance(args[2], list) else args[2:]
    with s.model.lock:
        for i in s.wanted(args[0], by_uid):
            u = s.view[i]
            old = list(s.box.flags(u))
            new = [f for f in old if f not in flags] if kind[:1] == b"-" else flags if kind[:1] != b"+" else (
                old + [f for f in flags if f not in old])
            s.box.set_flags(u, new)
            s.server.note(s, "flags %r %d %r" % (s.box.name, u, b" ".join(new)))
            if b"SILENT" not in kind:
                s.line(b"%d FETCH (UID %d FLAGS (%s))" % (i + 1, u, b" ".join(new)))
        if b"SILENT" in kind:
            s.seen_modseq = s.box.modseq
    return "OK done"


def do_expunge(s, tag, args, by_uid=False):
    need_write(s)
    with s.model.lock:
        among = [s.view[i] for i in s.wanted(args[0], True)] if by_uid else s.view
        gone = s.box.expunge([u for u in among if b"\\Deleted" in s.box.flags(u)])
        s.server.note(s, "expunge %r %r" % (s.box.name, gone))
    return "OK done"


def do_copy(s, tag, args, move=False):
    with s.model.lock:
        target = s.model.selectable(args[1])
        if target is None:
            raise Refuse("NO [TRYCREATE] no such mailbox")
        old = [s.view[i] for i in s.wanted(args[0], True) if s.view[i] in s.known]
        new = [target.append(Message(s.box.body(u), s.box.flags(u), s.box.date(u).decode())) for u in old]
        s.server.note(s, "copy %r %r to %r %r" % (s.box.name, old, target.name, new))
        if not old:
            return "OK no messages found"
        code = b"[COPYUID %d %s %s]" % (target.uidvalidity or 0, compress(old), compress(new))
        if move:
            need_write(s)
            s.line(b"OK " + code + b" moved")
            s.box.expunge(old)
            return "OK done"
    return b"OK " + code + b" done"


def do_append(s, tag, args):
    flags, date, rest = (), GENERATED_DATE, args[1:]
    if isinstance(rest[0], list):
        flags = rest.pop(0)
    if len(rest) > 1:
        date = rest.pop(0).decode("latin-1")
    with s.model.lock:
        b = s.model.selectable(args[0])
        if b is None:
            raise Refuse("NO [TRYCREATE] no such mailbox")
        uid = b.append(Message(rest[0], flags, date))
        s.server.note(s, "append %r %d %s" % (b.name, uid, hashlib.sha256(rest[0]).hexdigest()))
        return "OK [APPENDUID %d %d] done" % (b.uidvalidity or 0, uid)


def do_tree(verb):
    def function(s, tag, args):
        with s.model.lock:
            b = s.model.find(args[0])
            if verb == "create":
                if b:
                    raise Refuse("NO [ALREADYEXISTS] it exists")
                s.model.create(args[0].rstrip(s.model.delimiter or b""))
            elif b is None:
                raise Refuse("NO [NONEXISTENT] no such mailbox")
            elif verb == "delete":
                s.model.boxes.remove(b)
            elif verb == "rename":
                if s.model.find(args[1]):
                    raise Refuse("NO [ALREADYEXISTS] it exists")
                s.model.rename(b.name, args[1])
            else:
                b.subscribed = verb == "subscribe"
            s.server.note(s, "%s %r" % (verb, args))
        return "OK done"

    return function


def do_search(s, tag, args, by_uid=False):
    returns = None
    if args[0].upper() == b"RETURN":
        returns = [a.upper() for a in args[1]] or [b"ALL"]
        args = args[2:]
    with s.model.lock:
        found = fetch.search(s, args)
    numbers = [s.view[i] if by_uid else i + 1 for i in found]
    if returns is None:
        s.line(b"SEARCH" + b"".join(b" %d" % n for n in numbers))
    else:
        out = b'ESEARCH (TAG "%s")%s' % (tag, b" UID" if by_uid else b"")
        if numbers and b"MIN" in returns:
            out += b" MIN %d" % min(numbers)
        if numbers and b"MAX" in returns:
            out += b" MAX %d" % max(numbers)
        if b"COUNT" in returns:
            out += b" COUNT %d" % len(numbers)
        if numbers and b"ALL" in returns:
            out += b" ALL " + compress(numbers)
        s.line(out)
    return "OK done"


def do_id(s, tag, args):
    s.line(b'ID ("name" "fake")')
    return "OK done"


def uid(function):
    return lambda s, tag, args: function(s, tag, args, True)


HANDLERS = {
    "CAPABILITY": ("any", do_capability), "NOOP": ("any", lambda s, t, a: "OK done"), "LOGOUT": ("any", do_logout),
    "ID": ("any", do_id), "STARTTLS": ("any", do_starttls), "LOGIN": ("any", do_login),
    "AUTHENTICATE": ("any", do_authenticate), "ENABLE": ("user", do_enable), "NAMESPACE": ("user", do_namespace),
    "LIST": ("user", do_list), "LSUB": ("user", lambda s, t, a: do_list(s, t, a, b"LSUB")),
    "STATUS": ("user", do_status), "SELECT": ("user", do_select), "EXAMINE": ("user", uid(do_select)),
    "GETQUOTAROOT": ("user", do_quota), "IDLE": ("user", do_idle), "APPEND": ("user", do_append),
    "CREATE": ("user", do_tree("create")), "DELETE": ("user", do_tree("delete")), "RENAME": ("user", do_tree("rename")),
    "SUBSCRIBE": ("user", do_tree("subscribe")), "UNSUBSCRIBE": ("user", do_tree("unsubscribe")),
    "UNSELECT": ("selected", do_unselect), "CHECK": ("selected", lambda s, t, a: "OK done"),
    "FETCH": ("selected", fetch.do_fetch), "UID FETCH": ("selected", uid(fetch.do_fetch)),
    "SEARCH": ("selected", do_search), "UID SEARCH": ("selected", uid(do_search)),
    "STORE": ("selected", do_store), "UID STORE": ("selected", uid(do_store)),
    "EXPUNGE": ("selected", do_expunge), "UID EXPUNGE": ("selected", uid(do_expunge)),
    "UID COPY": ("selected", do_copy), "UID MOVE": ("selected", uid(do_copy)),
}
