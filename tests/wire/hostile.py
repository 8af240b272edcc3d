#!/usr/bin/env python3
"""The mailboxes of a server that lies, as a scenario of tests/fake/imapd.py on standard output.

The messages are those of tests/fs/outage.py: each says in its subject what all of its bytes are.
"""
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fs"))
from outage import message  # noqa: E402

SIZES = {"Larger": 5000 + 66, "Smaller": 100, "Zero": 0, "Most": 4294967295}


def box(name, first, count=3, size=5000, **more):
    messages = [{"body": message(first + i, size).decode()} for i in range(count)]
    return {"name": name, "messages": messages, **more}


def main():
    boxes, number = [box("INBOX", 1)], 100
    for name, lie in SIZES.items():
        b = box("Size" + name, number, 6)
        for m in b["messages"]:
            m["size"] = lie
        boxes.append(b)
        number += 100
    for i in range(1, 41):
        boxes.append(box("Case%02d" % i, number, 4, 60000))
        number += 100
    boxes.append({"name": "Quoted", "messages": [{"body": "Subject: all in one line"}]})
    for name, validity in (("ValidityZero", 0), ("ValidityNone", None), ("ValidityBig", 4294967297)):
        boxes.append(box(name, number, 3, uidvalidity=validity))
        number += 100
    for name, uids in (("UidsTwice", (5, 5, 9)), ("UidsDown", (9, 7, 3)), ("UidsBig", (1, 4294967295, 7))):
        b = box(name, number, 3)
        for m, uid in zip(b["messages"], uids):
            m["uid"] = uid
        boxes.append(b)
        number += 100
    boxes += [{"hex": name.encode("latin-1").hex(), "messages": [{"body": message(number + i, 1000).decode()}]}
              for i, name in enumerate(("../escape", "a\x1b[31mred", "b\x00nul", "c\nline", "..", ".", "x" * 600, "\xff\xfe"))]
    json.dump({"mailboxes": boxes}, sys.stdout)


if __name__ == "__main__":
    main()
