#!/usr/bin/python3
"""A small IMAP server with a model of its mailboxes, faults on demand, and a log of what it was told.

    imapd.py start DIR [--scenario FILE|JSON] [--plain | --tls CERT KEY | --starttls CERT KEY] [--ca FILE] [--port N]
    imapd.py run DIR ...         the same in the foreground
    imapd.py stop DIR
    imapd.py ctl DIR JSON        one request to the control socket DIR/control; prints the answer

start returns when the port listens. DIR/env is like that of tests/dovecot/server: HOST, IMAP_PORT (plain or STARTTLS)
or IMAPS_PORT, USER, PASSWORD_FILE, CA. DIR/log has one line per command and effect:
    NUMBER cCONNECTION tls|plain < b'the command line as it came'      (the password as <password>)
    NUMBER cCONNECTION tls|plain ! effect

Scenario keys, all optional:
    user, password        "demo" and "secret-canary-7319"
    capabilities          list; hide: list of those not announced; before_login: list announced before a login
    auth                  ["PLAIN", "SCRAM-SHA-256"]; iterations: of SCRAM, 4096
    greeting              "* OK ready" (an empty text: none, silence)
    delimiter             "/", another, or null for NIL; prefix: of the personal namespace, ""
    quota                 {"STORAGE": [used, limit], "MESSAGE": [used, limit]}, or null for none
    login                 answer to any login instead of the true one, such as "NO [UNAVAILABLE] later"
    login_failed          answer to a wrong password, "NO [AUTHENTICATIONFAILED] wrong"
    starttls              answer, "OK begin"; starttls_inject: bytes in the same segment after that line
    literal_ok            false: a synchronising literal is refused with NO
    mailboxes             list of objects:
        name or hex       the name's bytes; delimiter: own one, null is NIL; attributes: ["\\\\Sent"]; subscribed
        uidvalidity       a number of any size, 0, or null for none at all; uidnext; highestmodseq
        generate          N messages that exist only when asked for; first_uid; size: least size of each in bytes
        messages          objects: body (text, {"hex": ...} or {"file": ...}), uid, flags, internaldate (epoch or text),
                          size (what RFC822.SIZE shall say); UIDs stand in the order given, twice if given twice
    quirks                list of rules

A rule: {"on": EVENT, "do": ACTION, ...}. EVENT is CONNECT, GREETING, a command's name ("SELECT", "UID FETCH",
"AUTHENTICATE", "DONE"), or "*". "nth": only the n-th occurrence; "times": at most so often; "match": a regular
expression the command line must match. ACTION:
    close rst stall bye half_close   at once, or with "after_bytes": within the reply after that many bytes;
                                     stall ends after "seconds" or by the control's release; bye has "text"
    trickle        "bytes" (1) each "every" (0.1) seconds; "delay": "seconds" before the reply
    corrupt        the byte "at" of the reply, XOR "xor" (255)
    insert         "prefix", then "text" (or "hex") "repeat" times, then "suffix"; before the reply, with "at": "end"
                   just before its tagged line, or "after_bytes". Texts are latin-1; {tag} stands for the tag
    answer         "text" instead of the whole reply; ignore: no reply at all
    tagged         "text" instead of the tagged line, such as "zz OK done" or "{tag} NO [UNAVAILABLE] later"
    interleave     the rows of this and the next pipelined UID FETCH mixed
    uidvalidity    "value": announced in an untagged OK before the reply
    capabilities   "value": the list from now on
  of FETCH ("on": "UID FETCH"), for the UIDs of "uids" or all:
    size           RFC822.SIZE + "add", or = "value"
    body           "how": nil, empty, quoted, missing, no_row, short ("bytes" fewer, honestly announced), other ("uid":
                   that one's bytes under this UID), no_partial (the whole for a part), before_uid (BODY first)
    volunteer      an unasked row with the body of "uid" before each row
    unsolicited    an unasked row "* n FETCH (FLAGS (...))" without UID after each row
    row            "text": the row as given, with {seq} and {uid}

Control requests: {"op": "counters"} (commands by name, body_bytes, connections, open, stalled, canary_before_tls, logins);
reset (counters to zero); quirk ("rule"); quirks ("rules"); release; drop ("how": close or rst); log ("text");
create expunge append flags uidvalidity rename delete messages, each with "mailbox" or "hex" (model.py: control).
"""
import base64
import collections
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from model import Model  # noqa: E402
from quirks import Gone, Rule  # noqa: E402
from session import Session  # noqa: E402

CAPABILITIES = ("IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UNSELECT UIDPLUS MOVE CHILDREN LIST-EXTENDED SPECIAL-USE "
                "LIST-STATUS ESEARCH CONDSTORE QRESYNC QUOTA STATUS=SIZE").split()


class Server:
    def __init__(self, folder, scenario, tls=None, mode="plain"):
        self.dir = folder
        self.scenario = scenario
        self.mode = mode
        self.user = scenario.get("user", "demo")
        self.password = scenario.get("password", "secret-canary-7319")
        self.auth = scenario.get("auth", ["PLAIN", "SCRAM-SHA-256"])
        hidden = set(scenario.get("hide", []))
        self.capabilities = [c for c in scenario.get("capabilities", CAPABILITIES) if c not in hidden]
        self.model = Model(scenario)
        self.rules = [Rule(r) for r in scenario.get("quirks", [])]
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.released = threading.Event()
        self.stalled = 0
        self.stopping = False
        self.sessions = set()
        self.lock = threading.Lock()
        self.log = open(os.path.join(folder, "log"), "ab", buffering=0)
        self.number = 0
        self.zero()

    def zero(self):
        self.counts = collections.Counter()
        self.body_bytes = self.canary = self.logins = self.connections = self.bytes_sent = 0

    def secrets(self):
        plain = self.password.encode()
        coded = base64.b64encode(b"\0" + self.user.encode() + b"\0" + plain)
        return plain, base64.b64encode(plain), coded, base64.b64encode(b"\0" + plain)

    def write_log(self, session, mark, text):
        with self.lock:
            self.number += 1
            head = "%d c%d %s %s " % (self.number, session.id if session else 0,
                                      "tls" if session and session.secure else "plain", mark)
            self.log.write(head.encode() + text.encode("utf-8", "backslashreplace") + b"\n")

    def note(self, session, text):
        self.write_log(session, "!", text)

    def heard(self, session, data):
        """Log a command; notice a password that came before TLS."""
        for secret in self.secrets():
            if secret in data:
                if self.mode == "starttls" and not session.secure:
                    self.canary += 1
                data = data.replace(secret, b"<password>")
        self.write_log(session, "<", repr(data if len(data) < 4096 else data[:4096] + b"..."))

    def rules_for(self, event, line=b""):
        with self.lock:
            return [r for r in self.rules if r.wants(event, line)]

    def serve(self, listener):
        while not self.stopping:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.one, args=(conn, self.connections), daemon=True).start()

    def one(self, conn, number):
        session = Session(self, conn, number)
        self.sessions.add(session)
        try:
            session.run()
        except (Gone, OSError, ValueError):
            pass
        finally:
            self.sessions.discard(session)
            session.end()

    # -- control

    def control(self, listener):
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=self.answer, args=(conn,), daemon=True).start()

    def answer(self, conn):
        with conn, conn.makefile("rwb") as f:
            for line in f:
                try:
                    reply = {"ok": True, **(self.request(json.loads(line)) or {})}
                except (ValueError, KeyError, TypeError, OSError) as e:
                    reply = {"ok": False, "error": str(e)}
                f.write(json.dumps(reply, sort_keys=True).encode() + b"\n")
                f.flush()

    def request(self, r):
        op = r["op"]
        if op == "counters":
            return {"commands": dict(self.counts), "body_bytes": self.body_bytes, "connections": self.connections,
                    "open": len(self.sessions), "stalled": self.stalled, "canary_before_tls": self.canary,
                    "logins": self.logins, "bytes_sent": self.bytes_sent, "fired": [x.fired for x in self.rules]}
        if op == "reset":
            return self.zero()
        if op == "quirk":
            self.rules = self.rules + [Rule(r["rule"])]
        elif op == "quirks":
            self.rules = [Rule(x) for x in r["rules"]]
        elif op == "release":
            self.released.set()
            time.sleep(0.05)
            self.released.clear()
        elif op == "drop":
            for s in list(self.sessions):
                s.drop(r.get("how", "close"))
        elif op == "log":
            self.note(None, r["text"])
        else:
            reply = self.model.control(op, r)
            self.note(None, "control " + json.dumps({k: v for k, v in r.items() if k != "body"}, sort_keys=True))
            return reply
        return {}


def listen_below(port):
    """A listener on a given port, or on one below the range of outgoing connections."""
    import random

    while True:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port or random.randrange(12000, 32000)))
        except OSError:
            s.close()
            if port:
                raise
            continue
        s.listen(128)
        return s


def run(folder, options, ready):
    text = options.get("scenario", "{}")
    if not text.lstrip().startswith("{"):
        with open(text, encoding="utf-8") as f:
            text = f.read()
    server = Server(folder, json.loads(text), options.get("tls"), options["mode"])
    listener = listen_below(options.get("port", 0))
    path = os.path.join(folder, "control")
    if os.path.exists(path):
        os.unlink(path)
    control = socket.socket(socket.AF_UNIX)
    control.bind(path)
    control.listen(16)
    with open(os.open(os.path.join(folder, "password"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as f:
        f.write(server.password + "\n")
    with open(os.path.join(folder, "env"), "w", encoding="utf-8") as f:
        f.write("HOST=localhost\n%s=%d\nUSER=%s\nPASSWORD_FILE=%s/password\nCA=%s\n" % (
            "IMAPS_PORT" if options["mode"] == "tls" else "IMAP_PORT", listener.getsockname()[1], server.user, folder,
            options.get("ca", "")))
    with open(os.path.join(folder, "pid"), "w", encoding="utf-8") as f:
        f.write("%d\n" % os.getpid())
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    threading.Thread(target=server.control, args=(control,), daemon=True).start()
    ready()
    server.serve(listener)


def ctl(folder, request):
    """One request to a running server; the answer as a dict. For tests in Python."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(os.path.join(folder, "control"))
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile("rb").readline())


def start(folder, options):
    """Run in the background; return when it listens."""
    r, w = os.pipe()
    if os.fork() == 0:
        os.close(r)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        errors = os.open(os.path.join(folder, "stderr"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(errors, 2)
        run(folder, options, lambda: os.write(w, b"1"))
        os._exit(0)
    os.close(w)
    if os.read(r, 1) != b"1":
        with open(os.path.join(folder, "stderr"), encoding="utf-8") as f:
            sys.exit("imapd: it does not start\n" + f.read())


def stop(folder):
    try:
        with open(os.path.join(folder, "pid"), encoding="utf-8") as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
        while os.path.exists("/proc/%d" % pid):
            time.sleep(0.01)
    except (FileNotFoundError, ProcessLookupError):
        pass


def parse_options(words):
    options = {"mode": "plain"}
    while words:
        w = words.pop(0)
        if w in ("--tls", "--starttls"):
            options["mode"] = w[2:]
            options["tls"] = (words.pop(0), words.pop(0))
        elif w in ("--scenario", "--ca"):
            options[w[2:]] = words.pop(0)
        elif w == "--port":
            options["port"] = int(words.pop(0))
        elif w != "--plain":
            sys.exit("imapd: no such option: " + w)
    return options


def main():
    words = sys.argv[1:]
    if len(words) < 2 or words[0] not in ("start", "run", "stop", "ctl"):
        print(__doc__)
        sys.exit(0 if words and words[0] in ("-h", "--help") else 2)
    verb, folder = words[0], os.path.abspath(words[1])
    if verb == "stop":
        stop(folder)
    elif verb == "ctl":
        reply = ctl(folder, json.loads(words[2]))
        print(json.dumps(reply, sort_keys=True))
        sys.exit(not reply["ok"])
    else:
        os.makedirs(folder, exist_ok=True)
        options = parse_options(words[2:])
        if verb == "start":
            start(folder, options)
        else:
            run(folder, options, lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
