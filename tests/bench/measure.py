#!/usr/bin/python3
"""Measure the mount beside baselines that do the same work with nothing around it.

Each row runs the mount and its baselines in turn, so that what else the machine does meets all of them, and shows the
medians with the least and the greatest, and the ratio of the medians. Results also go to $IMAPFS_BUILD/bench/<row>.json.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("IMAPFS_BUILD", os.path.join(TOP, "build")))
DOVECOT = os.path.join(TOP, "tests", "dovecot")
PROXY = os.path.join(TOP, "tests", "fake", "proxy.py")
CONNECTIONS = 4


def run(*words, **options):
    return subprocess.run(words, check=True, stdin=subprocess.DEVNULL, **options)


class Ground:
    """A server with mail, a line of some length to it, and room for mounts."""

    def __init__(self, folder):
        self.folder = folder
        self.server = os.path.join(folder, "server")
        run(f"{DOVECOT}/server", "start", self.server, stdout=subprocess.DEVNULL)
        self.env = {}
        with open(os.path.join(self.server, "env"), encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.strip().partition("=")
                self.env[name] = value.strip("'\"")
        self.filled = set()
        self.proxies = {}

    def close(self):
        for folder in self.proxies.values():
            run(PROXY, "stop", folder)
        run(f"{DOVECOT}/server", "stop", self.server, stdout=subprocess.DEVNULL)

    def fill(self, mailbox, count, body):
        """A mailbox of so many generated messages; the server has built its caches, as after a first client."""
        if mailbox not in self.filled:
            say(f"filling {mailbox}: {count} messages")
            run(f"{DOVECOT}/fill", self.server, "--generate", str(count), "--how", "maildir",
                "--body", str(body), "--mailbox", mailbox, "--warm", stdout=subprocess.DEVNULL)
            self.filled.add(mailbox)

    def port(self, delay_ms):
        """The server's port, or that of a proxy whose round trip takes so long."""
        if delay_ms == 0:
            return self.env["IMAPS_PORT"]
        if delay_ms not in self.proxies:
            folder = os.path.join(self.folder, f"proxy{delay_ms}")
            run(PROXY, "start", folder, "--to", self.env["IMAPS_PORT"], "--delay", str(delay_ms / 2))
            self.proxies[delay_ms] = folder
        with open(os.path.join(self.proxies[delay_ms], "port"), encoding="utf-8") as port:
            return port.read().strip()

    def bare(self, what, mailbox, delay_ms, *more):
        env = self.env
        out = run(f"{BUILD}/tests/bench/bare", what, env["HOST"], self.port(delay_ms), env["CA"], env["USER"],
                  env["PASSWORD_FILE"], mailbox, *more, stdout=subprocess.PIPE, text=True).stdout.split()
        return {"seconds": float(out[0]), "messages": int(out[1]), "bytes": int(out[2])}


class Mount:
    """A mount with nothing in its index or cache."""

    def __init__(self, ground, delay_ms):
        self.folder = tempfile.mkdtemp(dir=ground.folder, prefix="mount")
        self.path = os.path.join(self.folder, "mnt")
        os.mkdir(self.path)
        env = ground.env
        options = (f"tls_ca={env['CA']},password_command=cat {env['PASSWORD_FILE']},connections={CONNECTIONS},"
                   f"state_dir={self.folder}/state,cache_dir={self.folder}/cache")
        self.process = subprocess.Popen([f"{BUILD}/imapfs", "-f", "-o", options,
                                         f"{env['USER']}@{env['HOST']}:{ground.port(delay_ms)}", self.path],
                                        stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not os.path.ismount(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("bench: the mount did not come up")
            time.sleep(0.02)

    def timed(self, command):
        begin = time.monotonic()
        subprocess.run(command, shell=True, check=True, cwd=self.path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def close(self):
        subprocess.run(["fusermount3", "-u", self.path], check=True)
        self.process.wait(60)
        shutil.rmtree(self.folder)


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def first_listing(ground, count, delay_ms):
    """First `ls -l` of a mailbox, against a socket that fetches the same items."""
    mailbox = f"Rows{count}"
    ground.fill(mailbox, count, 300)
    mount = Mount(ground, delay_ms)
    first = mount.timed(f"ls -l {mailbox}")
    again = mount.timed(f"ls -l {mailbox}")
    peak = mount.peak_bytes()
    mount.close()
    bare = ground.bare("rows", mailbox, delay_ms)
    assert bare["messages"] == count
    return {"mount": first, "bare": bare["seconds"], "again": again, "peak": peak}


def cold_grep(ground, count, delay_ms):
    """`grep -r` of messages that are not in the cache (the listing is known), against pipelined, batched FETCHes over
    as many connections. One reader costs the mount two round trips a message: few messages where they are long."""
    mailbox = f"Bodies{count}"
    ground.fill(mailbox, count, 22000)
    mount = Mount(ground, delay_ms)
    mount.timed(f"ls -l {mailbox}")
    first = mount.timed(f"grep -r thistextisnowhere {mailbox} || test $? -eq 1")
    again = mount.timed(f"grep -r thistextisnowhere {mailbox} || test $? -eq 1")
    peak = mount.peak_bytes()
    mount.close()
    bare = ground.bare("bodies", mailbox, delay_ms, str(CONNECTIONS), "50")
    assert bare["messages"] == count
    return {"mount": first, "bare": bare["seconds"], "again": again, "peak": peak}


ROWS = {
    "ls-100000-0ms": (first_listing, 100000, 0),
    "ls-100000-50ms": (first_listing, 100000, 50),
    "grep-10000-0ms": (cold_grep, 10000, 0),
    "grep-200-40ms": (cold_grep, 200, 40),
}


def spread(values):
    return f"{statistics.median(values):8.3f} s ({min(values):.3f}..{max(values):.3f})"


def measure(ground, name, rounds):
    work, count, delay_ms = ROWS[name]
    results = []
    for number in range(rounds):
        results.append(work(ground, count, delay_ms))
        say(f"{name} round {number + 1} of {rounds}: " + ", ".join(f"{k} {v:.3f}" for k, v in results[-1].items() if k != "peak"))
    mount = [r["mount"] for r in results]
    bare = [r["bare"] for r in results]
    ratio = statistics.median(mount) / statistics.median(bare)
    peak = max(r["peak"] for r in results)
    print(f"{name:18} mount {spread(mount)}   bare {spread(bare)}   ratio {ratio:6.2f}   "
          f"again {spread([r['again'] for r in results])}   peak {peak / 1048576:.1f} MiB", flush=True)
    os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
    with open(os.path.join(BUILD, "bench", f"{name}.json"), "w", encoding="utf-8") as out:
        json.dump({"row": name, "messages": count, "round_trip_ms": delay_ms, "ratio": ratio, "rounds": results}, out, indent=2)
        out.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--list", action="store_true", help="name the rows")
    args = parser.parse_args()
    if args.list:
        print("\n".join(ROWS))
        return
    names = args.rows.split(",")
    if not set(names) <= set(ROWS) or args.rounds < 1:
        sys.exit("bench: no such row, or no round; --list names the rows")
    with tempfile.TemporaryDirectory(prefix="imapfs-bench.") as folder:
        os.chmod(folder, 0o755)
        ground = Ground(folder)
        try:
            for name in names:
                measure(ground, name, args.rounds)
        finally:
            ground.close()


if __name__ == "__main__":
    main()
