#!/usr/bin/python3
"""System calls as programs make them that are no shell tools.

    calls.py mmap FILE                the SHA-256 of the file read through a mapping
    calls.py seeks FILE COPY          pieces of both at a thousand places, and past the end, are the same
    calls.py together N FILE          N processes read it at once, each by itself; prints each hash that was seen
    calls.py changes FOLDER FILE      tries every call that would change FOLDER (of a mount) or FILE in it; prints
                                      "call: errno" of each that did not fail with EROFS, and the number of calls
"""
import errno
import hashlib
import mmap
import os
import random
import stat
import subprocess
import sys


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def through_mapping(path):
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
        print(hashlib.sha256(m).hexdigest())


def seeks(path, copy):
    with open(copy, "rb") as f:
        data = f.read()
    r = random.Random(5)
    fd = os.open(path, os.O_RDONLY)
    for _ in range(1000):
        at, count = r.randrange(len(data) + 100), r.choice([1, 100, 4096, 70000])
        if os.pread(fd, count, at) != data[at : at + count]:
            sys.exit("%d bytes at %d differ" % (count, at))
    if os.lseek(fd, 0, os.SEEK_END) != len(data):
        sys.exit("the end is not at %d" % len(data))
    if os.read(fd, 1) != b"":
        sys.exit("there is something after the end")


def together(count, path):
    line = [sys.executable, __file__, "sha", path]
    readers = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(int(count))]
    print("\n".join(sorted({r.communicate()[0].strip() or "failed" for r in readers})))


def changes(folder, path):
    new = os.path.join(folder, "new.eml")
    sub = next(e.path for e in os.scandir(folder) if e.is_dir())
    outside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "calls.py")
    calls = {
        "open for writing": lambda: os.open(path, os.O_WRONLY),
        "open to append": lambda: os.open(path, os.O_WRONLY | os.O_APPEND),
        "open for both": lambda: os.open(path, os.O_RDWR),
        "open to truncate": lambda: os.open(path, os.O_WRONLY | os.O_TRUNC),
        "create": lambda: os.open(new, os.O_WRONLY | os.O_CREAT),
        "create in .uid": lambda: os.open(os.path.join(sub, ".uid", "77777.eml"), os.O_WRONLY | os.O_CREAT),
        "truncate": lambda: os.truncate(path, 3),
        "unlink": lambda: os.unlink(path),
        "rename": lambda: os.rename(path, new),
        "rename into a mailbox": lambda: os.rename(path, os.path.join(sub, "x.eml")),
        "rename a mailbox": lambda: os.rename(sub, os.path.join(folder, "renamed")),
        "mkdir": lambda: os.mkdir(os.path.join(folder, "new")),
        "rmdir": lambda: os.rmdir(sub),
        "link": lambda: os.link(path, new),
        "symlink": lambda: os.symlink(outside, new),
        "mknod": lambda: os.mknod(new, stat.S_IFREG | 0o600),
        "mkfifo": lambda: os.mkfifo(new),
        "chmod": lambda: os.chmod(path, 0o600),
        "chmod a mailbox": lambda: os.chmod(sub, 0o700),
        "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
        "utime": lambda: os.utime(path, (1, 1)),
        "utime of a mailbox": lambda: os.utime(sub, (1, 1)),
        "setxattr of the flags": lambda: os.setxattr(path, "user.imap.flags", b"\\Seen"),
        "setxattr of another": lambda: os.setxattr(path, "user.other", b"1"),
        "removexattr": lambda: os.removexattr(path, "user.imap.flags"),
        "unlink in .imapfs": lambda: os.unlink(os.path.join(folder, ".imapfs", "status")),
    }
    for what, call in calls.items():
        try:
            call()
            print(what + ": it was done")
        except OSError as e:
            if e.errno != errno.EROFS:
                print("%s: %s" % (what, errno.errorcode.get(e.errno, e.errno)))
    print("%d calls" % len(calls))


VERBS = {"mmap": through_mapping, "seeks": seeks, "together": together, "changes": changes, "sha": lambda p: print(sha(p))}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in VERBS:
        print(__doc__)
        sys.exit(2)
    VERBS[sys.argv[1]](*sys.argv[2:])
