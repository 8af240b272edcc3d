#!/usr/bin/env python3
"""Messages whose every byte is known, and readers that notice a wrong or missing one.

    outage.py make FOLDER FIRST LAST SIZE    messages number FIRST..LAST of about SIZE bytes as FOLDER/NUMBER.eml
    outage.py verify FILE...                 succeeds if each file is read whole and right
    outage.py try FILE...                    succeeds if each file is right, or fails with an error: no wrong byte and
                                             no early end, no size but the true one. Prints the errors, and "whole" or "error" for each file
    outage.py mapped FILE                    succeeds if the file is right as it is seen through mmap
    outage.py fail FILE                      succeeds if reading fails; prints the error's name
"""
import errno
import mmap
import os
import re
import sys


def message(number, size):
    line = b"%06d the quick brown fox jumps over message %06d and its %06dth line\r\n"
    head = b"Message-ID: <%d@outage.example>\r\nFrom: a@example.org\r\nSubject: number %d size %d\r\n" % (number, number, size)
    head += b"Date: Mon, 05 Jan 2015 00:00:00 +0000\r\n\r\n"
    return head + b"".join(line % (number, number, i) for i in range(max(1, size // 66)))


def expected(data):
    found = re.search(rb"\r\nSubject: number (\d+) size (\d+)\r\n", data[:400])
    return message(int(found[1]), int(found[2])) if found else None


def read(path):
    """All bytes read before the end or an error, and the error."""
    data, fd = b"", None
    try:
        fd = os.open(path, os.O_RDONLY)
        told = os.fstat(fd).st_size
        while piece := os.read(fd, 65536):
            data += piece
        sizes = {told, os.fstat(fd).st_size, len(data)}
        return data, None if len(sizes) == 1 else "st_size was %d, then %d, and %d bytes were read" % (
            told, os.fstat(fd).st_size, len(data))
    except OSError as e:
        return data, e
    finally:
        if fd is not None:
            os.close(fd)


def judge(path):
    """whole, error, or what is wrong."""
    data, error = read(path)
    want = expected(data) if data else None
    if isinstance(error, str):
        return error
    if data and want is None:
        return "not a message of ours: %r" % data[:80]
    if error is None:
        return "whole" if data and data == want else "wrong or short: %d bytes" % len(data)
    if data and not want.startswith(data):
        return "wrong bytes before the error"
    print("%s: %s" % (os.path.basename(path), errno.errorcode[error.errno]), file=sys.stderr)
    return "error"


def main():
    verb, words = sys.argv[1], sys.argv[2:]
    if verb == "make":
        os.makedirs(words[0], exist_ok=True)
        for n in range(int(words[1]), int(words[2]) + 1):
            with open("%s/%06d.eml" % (words[0], n), "wb") as f:
                f.write(message(n, int(words[3])))
    elif verb == "mapped":
        with open(words[0], "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            sys.exit(m[:] != expected(m[:]))
    elif verb == "fail":
        verdict = judge(words[0])
        print(verdict)
        sys.exit(verdict != "error")
    else:
        bad = 0
        for path in words:
            verdict = judge(path)
            print(verdict)
            if verdict != "whole" and (verb == "verify" or verdict != "error"):
                print("%s: %s" % (path, verdict), file=sys.stderr)
                bad += 1
        sys.exit(bad > 0 or not words)


if __name__ == "__main__":
    main()
