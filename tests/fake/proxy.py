#!/usr/bin/python3
"""A line of any length and quality: a TCP proxy with delay, rate and faults.

    proxy.py start DIR --to PORT [--port N] [--delay MS] [--rate BYTES_PER_SECOND]     returns when it listens
    proxy.py run DIR ...                                                               the same in the foreground
    proxy.py stop DIR
    proxy.py ctl DIR JSON                                                              one request; prints the answer

DIR/port holds the port on 127.0.0.1. The delay is that of one way, added in each direction; it takes nothing from
the throughput. The rate is for each direction of each connection.

Control requests ({"op": ...}; the socket is DIR/control):
    set        "delay" (ms), "rate" (0: none): for what is read from now on
    fault      "do": cut, rst, half_close, stall, once a connection has passed on "after" bytes (0) in the "direction"
               down (to the client) or up; counted from now for open connections; "times": for so many connections
               (1; 0: all); cut closes both sides
    clear      no faults any more; what is stalled goes on
    accept     "how": forward (the usual), refuse (reset at once), hole (accepted, nothing ever answered)
    drop       all connections, "how": cut or rst
    counters   connections, open, up and down (bytes passed on), stalled
"""
import asyncio
import collections
import json
import os
import random
import signal
import socket
import struct
import sys
import time

PIECE = 1 << 18
IN_FLIGHT = 64 << 20


class Line:
    """One direction of one connection."""

    def __init__(self, link, name, source, sink):
        self.link, self.name, self.source, self.sink = link, name, source, sink
        self.queue = collections.deque()
        self.held = 0
        self.wake = asyncio.Event()
        self.room = asyncio.Event()
        self.passed = 0
        self.bases = {}  # fault id -> bytes passed when it was set; None once it has struck
        self.free_at = 0.0

    async def read(self):
        proxy = self.link.proxy
        loop = asyncio.get_running_loop()
        try:
            while True:
                data = await loop.sock_recv(self.source, PIECE)
                if proxy.delay == 0 and proxy.rate == 0 and not self.queue and self.held == 0:
                    if not data:
                        break
                    await self.deliver(data)
                    continue
                now = time.monotonic()
                self.queue.append((now + proxy.delay, data))
                self.held += len(data)
                self.wake.set()
                if not data:
                    return
                while self.held > IN_FLIGHT:
                    self.room.clear()
                    await self.room.wait()
            self.end()
        except OSError:
            self.link.end()

    async def write(self):
        proxy = self.link.proxy
        try:
            while True:
                while not self.queue:
                    self.wake.clear()
                    await self.wake.wait()
                at, data = self.queue[0]
                pause = max(at, self.free_at) - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                if not data:
                    self.end()
                    return
                step = len(data) if not proxy.rate else max(1, min(len(data), proxy.rate // 50))
                for i in range(0, len(data), step):
                    await self.deliver(data[i : i + step])
                    if proxy.rate:
                        self.free_at = max(self.free_at, time.monotonic()) + step / proxy.rate
                        await asyncio.sleep(max(0, self.free_at - time.monotonic()))
                self.queue.popleft()
                self.held -= len(data)
                self.room.set()
        except OSError:
            self.link.end()

    async def deliver(self, data):
        loop = asyncio.get_running_loop()
        while data:
            fault, limit = self.next_fault()
            head = len(data) if fault is None else min(len(data), limit - self.passed)
            if head:
                await loop.sock_sendall(self.sink, data[:head] if head < len(data) else data)
                self.count(head)
                data = data[head:]
            if fault and self.passed == limit and fault["left"] != 0:
                fault["left"] -= 1
                self.bases[fault["id"]] = None
                await self.link.strike(self, fault)

    def next_fault(self):
        """The fault that comes first in this direction, and at how many bytes."""
        found, at = None, 0
        for spec in self.link.proxy.faults:
            base = self.bases.setdefault(spec["id"], 0)
            if spec["direction"] == self.name and spec["left"] != 0 and base is not None:
                if found is None or base + spec["after"] < at:
                    found, at = spec, base + spec["after"]
        return found, at

    def count(self, n):
        self.passed += n
        self.link.proxy.bytes[self.name] += n

    def end(self):
        self.sink.shutdown(socket.SHUT_WR)
        self.link.finished(self)


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.sockets = [client, server]
        self.down = Line(self, "down", server, client)
        self.up = Line(self, "up", client, server)
        self.left = {self.up, self.down}
        self.tasks = []

    def run(self):
        loop = asyncio.get_running_loop()
        for line in (self.up, self.down):
            self.tasks += [loop.create_task(line.read()), loop.create_task(line.write())]

    async def strike(self, line, fault):
        if fault["do"] == "stall":
            self.proxy.stalled += 1
            await self.proxy.released.wait()
            self.proxy.stalled -= 1
        elif fault["do"] == "half_close":
            line.end()
            raise asyncio.CancelledError
        else:
            self.end(fault["do"])
            raise asyncio.CancelledError

    def finished(self, line):
        self.left.discard(line)
        if not self.left:
            self.end()

    def end(self, how="cut"):
        if self not in self.proxy.links:
            return
        self.proxy.links.discard(self)
        for t in self.tasks:
            t.cancel()
        for s in self.sockets:
            if how == "rst":
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()


class Proxy:
    def __init__(self, to, delay, rate):
        self.to, self.delay, self.rate = to, delay / 1000, rate
        self.links = set()
        self.faults = []
        self.how = "forward"
        self.holes = []
        self.connections = self.stalled = 0
        self.bytes = {"up": 0, "down": 0}
        self.released = asyncio.Event()

    async def serve(self, listener):
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            client.setblocking(False)
            self.connections += 1
            if self.how == "refuse":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            elif self.how == "hole":
                self.holes.append(client)
            else:
                loop.create_task(self.open(client))

    async def open(self, client):
        loop = asyncio.get_running_loop()
        server = socket.socket()
        server.setblocking(False)
        try:
            await loop.sock_connect(server, ("127.0.0.1", self.to))
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.delay:
            await asyncio.sleep(2 * self.delay)  # a handshake takes a round trip, too
        link = Link(self, client, server)
        self.links.add(link)
        link.run()

    def request(self, r):
        op = r["op"]
        if op == "set":
            self.delay = r.get("delay", self.delay * 1000) / 1000
            self.rate = r.get("rate", self.rate)
        elif op == "fault":
            if r["do"] not in ("cut", "rst", "half_close", "stall"):
                raise ValueError("no such fault")
            self.released.clear()
            self.faults.append({"id": random.random(), "direction": r.get("direction", "down"), "do": r["do"],
                                "after": r.get("after", 0), "left": r.get("times", 1) or -1})
            for link in self.links:
                for line in (link.up, link.down):
                    line.bases[self.faults[-1]["id"]] = line.passed
        elif op == "clear":
            self.faults = []
            self.released.set()
        elif op == "accept":
            self.how = r["how"]
        elif op == "drop":
            for link in list(self.links):
                link.end(r.get("how", "cut"))
            for s in self.holes:
                s.close()
            self.holes = []
        elif op == "counters":
            return {"connections": self.connections, "open": len(self.links), "stalled": self.stalled, **self.bytes}
        else:
            raise ValueError("no such op: " + op)
        return {}

    async def control(self, reader, writer):
        while line := await reader.readline():
            try:
                reply = {"ok": True, **self.request(json.loads(line))}
            except (ValueError, KeyError, TypeError) as e:
                reply = {"ok": False, "error": str(e)}
            writer.write(json.dumps(reply, sort_keys=True).encode() + b"\n")
            await writer.drain()
        writer.close()


async def run(folder, options, ready):
    proxy = Proxy(int(options["to"]), float(options.get("delay", 0)), int(options.get("rate", 0)))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        try:
            listener.bind(("127.0.0.1", int(options.get("port", 0)) or random.randrange(12000, 32000)))
            break
        except OSError:
            if "port" in options:
                raise
    listener.listen(128)
    listener.setblocking(False)
    path = os.path.join(folder, "control")
    if os.path.exists(path):
        os.unlink(path)
    await asyncio.start_unix_server(proxy.control, path)
    for name, value in (("port", listener.getsockname()[1]), ("pid", os.getpid())):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write("%d\n" % value)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ready()
    await proxy.serve(listener)


def ctl(folder, request):
    """One request to a running proxy. For tests in Python."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(os.path.join(folder, "control"))
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile("rb").readline())


def start(folder, options):
    r, w = os.pipe()
    if os.fork() == 0:
        os.close(r)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        errors = os.open(os.path.join(folder, "stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for old, new in ((null, 0), (null, 1), (errors, 2)):
            os.dup2(old, new)
        asyncio.run(run(folder, options, lambda: os.write(w, b"1")))
        os._exit(1)
    os.close(w)
    if os.read(r, 1) != b"1":
        sys.exit("proxy: it does not start; see %s/stderr" % folder)


def stop(folder):
    try:
        with open(os.path.join(folder, "pid"), encoding="utf-8") as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
        while os.path.exists("/proc/%d" % pid):
            time.sleep(0.01)
    except (FileNotFoundError, ProcessLookupError):
        pass


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
        options = {w[2:]: v for w, v in zip(words[2::2], words[3::2])}
        if set(options) - {"to", "port", "delay", "rate"} or "to" not in options:
            sys.exit("proxy: see --help for the options")
        os.makedirs(folder, exist_ok=True)
        if verb == "start":
            start(folder, options)
        else:
            asyncio.run(run(folder, options, lambda: print("ready", flush=True)))


if __name__ == "__main__":
    main()
