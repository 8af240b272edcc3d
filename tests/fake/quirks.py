"""What the fake server does wrong, and when: rules matched against events, and the pipe that applies them."""
import re
import socket
import struct
import time


class Gone(Exception):
    """This connection is over."""


class Rule:
    """One quirk of a scenario; see the head of imapd.py for its keys."""

    def __init__(self, spec):
        self.spec = spec
        self.on = spec.get("on", "*").upper()
        self.nth = spec.get("nth", 0)
        self.match = re.compile(spec["match"].encode("latin-1")) if "match" in spec else None
        self.times = spec.get("times", 0)
        self.seen = 0
        self.fired = 0

    def wants(self, event, line):
        """Whether the rule applies to this occurrence of an event (which it counts)."""
        if self.on not in ("*", event) or (self.match and not self.match.search(line)):
            return False
        self.seen += 1
        if (self.nth and self.seen != self.nth) or (self.times and self.fired >= self.times):
            return False
        self.fired += 1
        return True


def text_of(spec, key="text", tag=b"*"):
    """Bytes of a rule's text: latin-1, repeated, with {tag} replaced."""
    raw = bytes.fromhex(spec["hex"]) if key == "text" and "hex" in spec else spec.get(key, "").encode("latin-1")
    return raw.replace(b"{tag}", tag)


class Pipe:
    """The way to the client: counts what it writes of one reply and breaks it where a rule says."""

    def __init__(self, session):
        self.session = session
        self.sent = 0
        self.cut = None
        self.rules = []
        self.trickle = None
        self.corrupt = None

    def begin(self, rules):
        """A new reply, with the rules that apply to it."""
        self.rules, self.sent, self.cut, self.trickle, self.corrupt = rules, 0, None, None, None
        for r in rules:
            do = r.spec["do"]
            if do in ("close", "rst", "stall", "half_close", "bye", "insert") and "after_bytes" in r.spec:
                self.cut = r
            elif do == "trickle":
                self.trickle = r
            elif do == "corrupt":
                self.corrupt = r

    def write(self, data):
        if self.corrupt and self.sent <= self.corrupt.spec["at"] < self.sent + len(data):
            data = bytearray(data)
            data[self.corrupt.spec["at"] - self.sent] ^= self.corrupt.spec.get("xor", 0xFF)
            data = bytes(data)
        cut = self.cut
        if cut and self.sent + len(data) >= cut.spec["after_bytes"]:
            head = cut.spec["after_bytes"] - self.sent
            self.cut = None
            self.pass_on(data[:head])
            self.act(cut)
            data = data[head:]
        self.pass_on(data)

    def pass_on(self, data):
        if not data:
            return
        self.sent += len(data)
        if self.trickle:
            step, pause = self.trickle.spec.get("bytes", 1), self.trickle.spec.get("every", 0.1)
            for i in range(0, len(data), step):
                self.session.raw_send(data[i : i + step])
                time.sleep(pause)
        else:
            self.session.raw_send(data)

    def act(self, rule):
        """What ends or disturbs a connection."""
        do, s = rule.spec["do"], self.session
        s.server.note(s, "quirk %s on %s" % (do, rule.on))
        if do == "stall":
            s.server.stalled += 1
            s.server.released.wait(rule.spec.get("seconds", 3600))
            s.server.stalled -= 1
            if s.server.stopping:
                raise Gone
        elif do == "insert":
            insert(s, rule)
        elif do == "bye":
            s.raw_send(b"* BYE " + (text_of(rule.spec) or b"going away") + b"\r\n")
            raise Gone
        elif do == "half_close":
            s.plain_socket.shutdown(socket.SHUT_WR)
        elif do == "rst":
            s.plain_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        elif do == "close":
            raise Gone


def insert(session, rule):
    """Any bytes, any number of times: floods, long lines, unknown answers."""
    piece = text_of(rule.spec)
    session.raw_send(text_of(rule.spec, "prefix"))
    left = rule.spec.get("repeat", 1)
    block = max(1, min(left, (1 << 18) // max(1, len(piece))))
    while left > 0:
        session.raw_send(piece * min(block, left))
        left -= block
    session.raw_send(text_of(rule.spec, "suffix"))
