#!/usr/bin/env python3
"""Runs a command on a terminal of its own and answers the question it asks there.

    terminal.py ANSWER-FILE QUESTION COMMAND [ARG...]

Waits (at most 60 s) until the terminal shows QUESTION, types the file's text and Return, waits for the command and
exits with its status. All that the terminal showed goes to standard output. The word ^C as ANSWER-FILE types that key.
"""
import os
import pty
import select
import sys
import time


def main():
    answer_file, question, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]
    if answer_file == "^C":
        answer = b"\x03"
    else:
        with open(answer_file, "rb") as f:
            answer = f.read().rstrip(b"\n") + b"\n"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    shown, typed, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if not typed and question in shown:
            os.write(terminal, answer)
            typed = True
    sys.stdout.buffer.write(shown)
    sys.stdout.flush()
    if time.monotonic() >= deadline:
        os.kill(pid, 9)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)


if __name__ == "__main__":
    main()
