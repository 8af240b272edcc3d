#!/usr/bin/python3
"""Write nasty but possible messages, the same every time.

    nasty.py FOLDER [--no-big] [--list]

Each is a file NNN-what.eml in FOLDER; FOLDER/manifest.jsonl and standard output say for each: file, size, sha256,
note, and, where it matters, "exact": false for bytes that a server may lawfully change (bare LF, bare CR, NUL) and
"refusable": true where a server may refuse it. --no-big leaves out what is over 1 MB; --list only names them.
"""
import argparse
import hashlib
import json
import os
import random
import sys

N = b"\r\n"


def mail(subject=b"Subject: Plain", body=b"Hello.\r\n", date=b"Date: Tue, 5 Mar 2019 10:20:30 +0100", mid=None,
         extra=b"", sender=b"From: Ada <ada@example.org>"):
    """A message from raw header lines; None or empty ones are left out."""
    lines = [sender, b"To: bob@example.org", date, subject]
    if mid:
        lines.append(b"Message-ID: <" + mid + b"@example.org>")
    if extra:
        lines.append(extra)
    return N.join(x for x in lines if x) + N + N + body


def noise(size, seed):
    """Text of about that size that does not compress or repeat: lines of 76 letters."""
    r = random.Random(seed)
    block = bytes(r.choice(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/") for _ in range(76 * 500))
    out = []
    for i in range(size // (78 * 500) + 1):
        k = (i * 7919) % len(block)
        turned = block[k:] + block[:k]
        out.append(N.join(turned[j : j + 76] for j in range(0, len(turned), 76)) + N)
    return b"".join(out)[:size]


def word(charset, text, how="Q"):
    """One encoded word."""
    import base64

    raw = text.encode(charset)
    if how == "B":
        return b"=?" + charset.encode() + b"?B?" + base64.b64encode(raw) + b"?="
    coded = b"".join(bytes([c]) if chr(c).isalnum() and c < 128 else b"=%02X" % c for c in raw)
    return b"=?" + charset.encode() + b"?Q?" + coded + b"?="


def headers():
    """Headers that are missing, doubled or of no known form."""
    yield "8bit-header", mail("Subject: Größe und Maß".encode(), mid=b"eight"), "UTF-8 bytes in a header without MIME"
    yield "8bit-latin1", mail("Subject: Gr\xf6\xdfe und Ma\xdf".encode("latin-1"), mid=b"latin"), "ISO-8859-1 bytes in a header"
    yield "8bit-body", mail(body="Žluťoučký kůň\r\n".encode() + b"\xff\xfe\x80\r\n", mid=b"body8"), "8-bit body, no MIME"
    yield "no-headers", b"\r\nOnly a body, after an empty line.\r\n", "begins with the empty line", {"refusable": True}
    yield "no-message-id", mail(b"Subject: Without an identity"), "no Message-ID"
    yield "no-message-id-twin", mail(b"Subject: Without an identity", body=b"Another text.\r\n"), "no Message-ID, like the last but for its body"
    yield "same-id-1", mail(b"Subject: One", mid=b"shared"), "Message-ID used three times"
    yield "same-id-2", mail(b"Subject: Two", mid=b"shared", body=b"Longer than the first.\r\n"), "the same Message-ID, other size"
    yield "same-id-3", mail(b"Subject: Six", mid=b"shared"), "the same Message-ID and size, other bytes"
    for i in (1, 2, 3):
        yield "duplicate-%d" % i, mail(b"Subject: Thrice the same", mid=b"thrice"), "exact duplicate, three of them"
    yield "two-message-ids", mail(mid=b"first", extra=b"Message-ID: <second@example.org>"), "two Message-IDs"
    yield "two-subjects", mail(mid=b"subj2", extra=b"Subject: And another"), "two Subjects"
    yield "empty-message-id", mail(extra=b"Message-ID: <>"), "empty Message-ID"
    yield "odd-message-id", mail(extra=b"Message-ID: no brackets, with spaces / and ../slashes"), "Message-ID out of syntax"
    yield "long-message-id", mail(mid=b"i" * 2000), "Message-ID of 2,000 characters"
    yield "folded-message-id", mail(extra=b"Message-ID:\r\n <folded@example.org>"), "Message-ID on a line of its own"
    yield "no-subject", mail(None, mid=b"nosubject"), "no Subject"
    yield "empty-subject", mail(b"Subject:", mid=b"emptysubject"), "empty Subject"
    yield "blank-subject", mail(b"Subject:    \t ", mid=b"blanksubject"), "Subject of blanks"
    yield "no-from", mail(mid=b"nofrom", sender=None), "no From"
    yield "space-colon", mail(b"Subject : Space before the colon", mid=b"spacecolon"), "blank before the colon"
    yield "lower-case", mail(b"sUBJECT: Case", mid=b"case").replace(b"Message-ID", b"MESSAGE-id"), "names in odd case"
    yield "from-line", b"From ada@example.org Tue Mar  5 10:20:30 2019\r\n" + mail(mid=b"mbox"), "begins with an mbox From line"
    yield "broken-line", mail(extra=b"this line has no colon", mid=b"nocolon"), "a header line without a colon"
    yield "folded-start", b" folded first line\r\n" + mail(mid=b"foldfirst"), "begins with a continuation line", {"refusable": True}


def subjects():
    """Subjects that are hard to make a file name of."""
    def s(what, raw, note, more=None):
        return ("subject-" + what, mail(b"Subject: " + raw, mid=what.encode()), note, more or {})

    yield s("folded", b"A subject\r\n that goes on\r\n\tover three lines", "folded")
    yield s("folded-blank", b"A subject\r\n \r\n and a blank fold", "folded with a line of one blank")
    yield s("utf8-q", word("utf-8", "Überraschung für Zoë"), "RFC 2047 Q")
    yield s("utf8-b", word("utf-8", "Ежедневная сводка", "B"), "RFC 2047 B, Cyrillic")
    yield s("koi8", word("koi8-r", "Привет мир", "B"), "KOI8-R")
    yield s("1251", word("windows-1251", "Счёт за март", "Q"), "windows-1251")
    yield s("2022jp", word("iso-2022-jp", "会議のお知らせ", "B"), "ISO-2022-JP")
    yield s("sjis", word("shift_jis", "請求書の件", "B"), "Shift_JIS")
    yield s("gb18030", word("gb18030", "会议通知", "B"), "GB18030")
    yield s("big5", word("big5", "會議通知", "B"), "Big5")
    yield s("euckr", word("euc-kr", "회의 안내", "B"), "EUC-KR")
    yield s("88598", word("iso-8859-8", "שלום עולם", "Q"), "ISO-8859-8")
    yield s("88596", word("iso-8859-6", "مرحبا", "Q"), "ISO-8859-6")
    yield s("language", b"=?utf-8*en?Q?with_a_language?=", "RFC 2231 language")
    yield s("two-words", word("utf-8", "first half, ") + b"\r\n " + word("utf-8", "second half"), "adjacent words join")
    raw = "Grüße".encode()
    yield s("split-char", b"=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=", "a character split over two words")
    yield s("split-char-b", b"=?utf-8?B?R3LD?=\r\n =?utf-8?B?vMOfZQ==?=", "the same in B")
    yield s("padded-words", b"=?utf-8?B?YQ==?= =?utf-8?B?Yg==?= =?utf-8?B?0LbQtg==?=", "padding inside a run of words")
    yield s("bad-end", b"=?utf-8?Q?no end", "word without an end")
    yield s("bad-charset", b"=?x-no-such?Q?caf=E9?= after", "unknown charset")
    yield s("bad-base64", b"=?utf-8?B?@@@@?= after", "no base64")
    yield s("bad-q", b"=?utf-8?Q?=ZZ=4?= after", "no Q encoding")
    yield s("bad-utf8", b"=?utf-8?Q?=FF=FE=C3?=", "bytes that are not UTF-8")
    yield s("q-space", b"=?utf-8?Q?has a space?=", "raw blanks inside a word")
    yield s("glued", b"abc=?utf-8?Q?def?=ghi", "a word glued to text")
    yield s("empty-word", b"=?utf-8?Q??=", "an empty word")
    yield s("coded-newline", b"=?utf-8?Q?one=0D=0Atwo?=", "CR LF inside a word")
    yield s("coded-nul", b"=?utf-8?Q?one=00two?=", "NUL inside a word")
    yield s("coded-slash", b"=?utf-8?Q?..=2F..=2Fetc=2Fpasswd?=", "../ inside a word")
    yield s("1000", b"x" * 1000, "1,000 characters")
    yield s("1000-words", b" ".join(b"word%d" % i for i in range(160)), "many words")
    yield s("1000-wide", b"\r\n ".join(word("utf-8", "日本語の長い件名", "B") for _ in range(130)), "over 1,000 wide characters")
    yield s("200-combining", word("utf-8", "e" + "\u0301" * 200), "200 combining marks on one letter")
    yield s("emoji", word("utf-8", "🎉🚀👩‍👩‍👧", "B"), "only emoji")
    yield s("punctuation", b"!!! ??? --- ... ///", "only punctuation")
    yield s("rtl", word("utf-8", "تقرير \u202egpj.exe", "B"), "right to left, with an override")
    yield s("nfd", word("utf-8", "Cafe\u0301 Zu\u0308rich"), "NFD")
    yield s("nfc", word("utf-8", "Café Zürich"), "the same in NFC")
    yield s("zero-width", word("utf-8", "a\u200bb\ufeffc\u00add"), "zero-width characters")
    yield s("controls", b"a\x01b\x02\x1b[31mred\x07\x7f", "control characters")
    yield s("tab", b"a\tb\tc", "tabs")
    yield s("dots", b"..", "only ..")
    yield s("dot", b".hidden", "leading dot")
    yield s("dash", b"-rf", "leading dash")
    yield s("slash", b"/etc/passwd", "slashes")
    yield s("shell", b"$(touch x); `id` 'a' \"b\" *?[] & | < >", "shell characters")
    yield s("percent", b"100%2Fdone %s %n", "percent signs")
    yield s("tilde", b"Report~2", "looks like a duplicate's suffix")
    yield s("eml", b"report.eml", "ends like a file name")
    yield s("device", b"CON", "a device elsewhere")
    yield s("non-bmp", word("utf-8", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎𠜱", "B"), "letters outside the BMP")
    yield s("digits", word("utf-8", "٣ ४ Ⅷ ½"), "digits of other scripts")
    yield s("sharp-s", raw, "8-bit as it comes")
    yield s("lone-surrogate", b"=?utf-8?Q?=ED=A0=80x?=", "an encoded surrogate")
    yield s("overlong", b"=?utf-8?Q?=C0=AF=C0=AE?=", "overlong UTF-8 of / and .")
    yield s("utf7", b"=?utf-7?Q?+AC8-etc?=", "UTF-7 of a slash")
    yield s("utf16", b"=?utf-16?B?/v8ALwBl?=", "UTF-16 with a mark")


def dates():
    """Date fields missing, absurd or in odd forms."""
    for what, raw in (
        ("none", None), ("empty", b"Date:"), ("words", b"Date: yesterday, more or less"),
        ("year-0", b"Date: Thu, 1 Jan 0000 00:00:00 +0000"), ("year-1", b"Date: 1 Jan 1 00:00:00 +0000"),
        ("year-9999", b"Date: Fri, 31 Dec 9999 23:59:59 +0000"), ("year-99999", b"Date: 1 Jan 99999 00:00:00 +0000"),
        ("1900", b"Date: Mon, 1 Jan 1900 00:00:00 +0000"), ("1969", b"Date: Wed, 31 Dec 1969 23:59:59 +0000"),
        ("2038", b"Date: Tue, 19 Jan 2038 03:14:08 +0000"), ("two-digits", b"Date: 5 Mar 99 10:20:30 GMT"),
        ("zone-name", b"Date: Tue, 5 Mar 2019 10:20:30 PST"), ("zone-odd", b"Date: Tue, 5 Mar 2019 10:20:30 +9999"),
        ("zone-none", b"Date: Tue, 5 Mar 2019 10:20:30"), ("zone-minus", b"Date: Tue, 5 Mar 2019 10:20:30 -0000"),
        ("day-32", b"Date: Tue, 32 Mar 2019 10:20:30 +0000"), ("hour-25", b"Date: Tue, 5 Mar 2019 25:61:61 +0000"),
        ("leap-second", b"Date: Sat, 31 Dec 2016 23:59:60 +0000"), ("iso", b"Date: 2019-03-05T10:20:30Z"),
        ("us", b"Date: 03/05/2019 10:20 AM"), ("ctime", b"Date: Tue Mar  5 10:20:30 2019"),
        ("wrong-day", b"Date: Sun, 5 Mar 2019 10:20:30 +0100"), ("comment", b"Date: Tue, 5 Mar 2019 (a (nested) note) 10:20:30 +0100 (CET)"),
        ("folded", b"Date: Tue, 5 Mar 2019\r\n 10:20:30\r\n +0100"), ("french", "Date: mar., 5 août 2019 10:20:30 +0100".encode()),
        ("next-day", b"Date: Tue, 5 Mar 2019 23:30:00 -0500"), ("huge", b"Date: " + b"9" * 400),
    ):
        yield "date-" + what, mail(b"Subject: When", date=raw, mid=b"date." + what.encode()), "Date: " + what
    yield "date-twice", mail(mid=b"date.twice", extra=b"Date: Wed, 6 Mar 2019 10:20:30 +0100"), "two Dates"


def bodies():
    """Shapes and sizes of bytes."""
    odd = {"exact": False}
    yield "empty-body", mail(body=b"", mid=b"emptybody"), "header, empty line, nothing"
    yield "no-blank-line", mail(mid=b"noblank").split(N + N)[0] + N, "a header only, without the empty line"
    yield "no-last-newline", mail(body=b"No newline at the end", mid=b"nonl"), "no line end at the end"
    yield "header-cut", mail(mid=b"cut").split(N + N)[0], "header only, not even a last line end", {"refusable": True}
    yield "bare-lf", mail(mid=b"barelf").replace(N, b"\n"), "LF only", odd
    yield "mixed-lf", mail(body=b"crlf\r\nlf\ncrlf\r\nlf\n\n", mid=b"mixed"), "mixed line ends", odd
    yield "bare-cr", mail(body=b"a\rb\r\rc\r\n\rd\r", mid=b"barecr"), "bare CR inside and last", odd
    yield "nul", mail(body=b"before\0after\r\n", mid=b"nul"), "a NUL", {"exact": False, "refusable": True}
    yield "control-bytes", mail(body=bytes(c for c in range(1, 256) if c not in (10, 13)) + N, mid=b"controls"), "every byte but NUL, LF, CR"
    yield "long-line", mail(body=b"y" * 5000 + N + b"z" * 5000 + N, mid=b"longline"), "lines of 5,000 characters"
    yield "long-header-line", mail(extra=b"X-Long: " + b"h" * 5000, mid=b"longheader"), "a header line of 5,000 characters"
    yield "header-200k", mail(extra=N.join(b"X-Trace-%d: " % i + b"t" * 60 for i in range(2750)), mid=b"h200k"), "a header of 200 KB"
    yield "dots-body", mail(body=b".\r\n..\r\nFrom here on\r\n.\r\n", mid=b"dotsbody"), "lines of dots, From in the body"
    yield "imap-in-body", mail(body=b"a1 OK done\r\n* 1 FETCH (UID 9 BODY[] {3}\r\nabc)\r\n* BYE\r\n", mid=b"imapbody"), "looks like the protocol"
    yield "one-byte", b"x", "one byte", {"refusable": True, "exact": False}
    yield "one-newline", b"\r\n", "one line end", {"refusable": True}
    yield "attachment", mail(
        extra=b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b", mid=b"attached",
        body=b"--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\nContent-Type: application/octet-stream;"
        b" name=../../x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + noise(40000, 5) + b"--b--\r\n"), "an attachment named ../../x"
    yield "size-65535", mail(mid=b"s65535", body=b"")[:0] + sized(65535, b"s65535"), "exactly 65,535 bytes"
    yield "size-65536", sized(65536, b"s65536"), "exactly 65,536 bytes"
    yield "size-65537", sized(65537, b"s65537"), "exactly 65,537 bytes"
    yield "size-1m", sized(1 << 20, b"s1m"), "exactly 1 MiB"
    yield "size-30m", sized(30 << 20, b"s30m"), "exactly 30 MiB"


def sized(size, mid):
    head = mail(b"Subject: Of a given size", body=b"", mid=mid)
    return head + noise(size - len(head) - 2, size) + N


def everything():
    number = 0
    for source in (headers, subjects, dates, bodies):
        for row in source():
            number += 1
            what, data, note = row[:3]
            yield "%03d-%s.eml" % (number, what), data, note, row[3] if len(row) > 3 else {}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("--no-big", action="store_true")
    p.add_argument("--list", action="store_true")
    args = p.parse_args()
    if not args.folder and not args.list:
        p.error("name a folder")
    manifest = sys.stdout
    if args.folder:
        os.makedirs(args.folder, exist_ok=True)
    lines = []
    for name, data, note, more in everything():
        if args.no_big and len(data) > 1 << 20:
            continue
        row = {"file": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "note": note, **more}
        lines.append(json.dumps(row, sort_keys=True))
        if args.folder and not args.list:
            with open(os.path.join(args.folder, name), "wb") as f:
                f.write(data)
    print(*lines, sep="\n", file=manifest)
    if args.folder and not args.list:
        with open(os.path.join(args.folder, "manifest.jsonl"), "w", encoding="utf-8") as f:
            print(*lines, sep="\n", file=f)


if __name__ == "__main__":
    main()
