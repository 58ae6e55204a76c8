"""Benchmark of what is computed of messages that arrived: adoption, what is kept ready, the text index; then searches.

    tests/bench/filling.py [--messages 4000] [--mail bench|mixed] [--size 3072] [--profile]

All of it runs in this process, one step after the other; the CPU time of each is told for a message. The messages are
those of tests/bench/imap_store.py, or `mixed`: letters of words as often as languages have them, with quotes and
signatures, in quoted-printable or base64, with HTML beside the text, with attachments, as mailing lists, shops and
people make them. The sizes of both databases are told over that of the messages.

Diagnostics: a step that fails ends the run with its traceback.
"""

from __future__ import annotations

import argparse
import base64
import cProfile
import itertools
import pstats
import quopri
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from imap_store import ACCOUNT, make_message
from mailsrv.imap.search_keys import Contains, Where
from mailsrv.store.filling import Filler
from mailsrv.store.search import Searcher
from mailsrv.system.clock import SystemClock
from tests.fakes import imap_client

_ONSETS = "b br d f g gr h k kl l m n p pr r s st t tr v w".split()
_VOWELS = ("a", "e", "i", "o", "u", "ea", "ou")
_ACCENTED = ("ä", "é", "ö", "ü", "ñ", "å", "ø")
_CODAS = ("", "", "", "n", "r", "s", "t", "l", "nd", "ck", "ng")
_STYLE = "<style>" + "".join(f".c{n} {{ margin: {n}px; color: #{n:06x} }}\r\n" for n in range(40)) + "</style>"


class Corpus:
    """Messages that differ as those of a real mailbox do, the same ones in every run."""

    def __init__(self, size: int) -> None:
        self._random = random.Random(1)
        self._size = size
        sounds = [first + vowel + last for first in _ONSETS for vowel in _VOWELS for last in _CODAS]
        choose = self._random.choices
        self._words = ["".join(choose(sounds, k=1 + number % 3)) for number in range(8000)]
        for number in range(0, 8000, 16):
            self._words[number] += choose(_ACCENTED)[0]
        self._weights = list(itertools.accumulate(1 / (number + 3) for number in range(8000)))
        self._people = [f"{self.words(2).title()} <p{number}@d{number % 97}.example>" for number in range(400)]

    def words(self, count: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=count))

    def text(self, size: int) -> str:
        """Lines of at most 76 characters, some of them quoted, with a signature."""
        lines: list[str] = []
        left = size
        while left > 0:
            line = self.words(11)[:74]
            lines.append(("> " if len(lines) % 20 > 14 else "") + line if len(lines) % 9 else "")
            left -= len(line) + 2
        return "\r\n".join([*lines, "-- ", self.words(4), ""])

    def header(self, number: int) -> str:
        """Fields as a message has them that came over two hosts."""
        pick = self._random.choice
        subject = self.words(6)
        if not subject.isascii() or number % 10 == 0:
            subject = f"=?utf-8?B?{base64.b64encode(subject.encode()).decode()}?="
        date = f"Mon, {number % 27 + 1} {pick(('Jan', 'Jun'))} 2026 {number % 24:02}:{number % 60:02}:07"
        others = [one for one in self._random.choices(self._people, k=6) if one.isascii()]
        ids = [f"<{self._random.getrandbits(80):x}@d{n}.example>" for n in range(3)]
        sender = pick(self._people)
        name, _, address = sender.partition(" <")
        if not name.isascii():
            sender = f"=?utf-8?Q?{quopri.encodestring(name.encode(), header=True).decode()}?= <{address}"
        fields = [
            f"Return-Path: <{address[:-1]}>",
            f"Received: from mx{number % 40}.example.net (mx.example.net [192.0.2.{number % 250}])\r\n"
            f"\tby mail.example.com with ESMTPS id {self._random.getrandbits(60):x};\r\n\t{date} +0000",
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d{number % 97}.example; s=s1;\r\n"
            f" h=from:to:subject:date:message-id; bh={self._digits(32)};\r\n b={self._digits(190)}",
            f"Date: {date} +0{number % 3}00",
            f"From: {sender}",
            "To: Bench <bench@example.com>" if number % 5 else "To: " + ",\r\n ".join(others),
            f"Subject: {pick(('', '', 'Re: ', 'AW: ', '[list] '))}{subject}",
            f"Message-ID: {ids[0]}",
            f"References: {ids[1]}\r\n {ids[2]}",
            f"User-Agent: Mailer {number % 7}.1",
            "MIME-Version: 1.0",
        ]
        return "\r\n".join(fields) + "\r\n"

    def _digits(self, count: int) -> str:
        return base64.b64encode(self._random.randbytes(count)).decode()

    def _part(self, kind: str, text: str, encoding: str) -> bytes:
        octets = text.encode()
        if encoding == "quoted-printable":
            octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        elif encoding == "base64":
            octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        header = f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        return header.encode() + octets

    def message(self, number: int) -> bytes:
        """The message of a number, of about the size that is wanted."""
        header = self.header(number).encode()
        encoding = ("8bit", "quoted-printable", "8bit", "base64")[number % 4]
        plain = self._part("text/plain", self.text(max(self._size - len(header), 300)), encoding)
        if number % 3:
            return header + plain
        html = f"<html><head>{_STYLE}</head><body><p>{self.text(self._size // 2)}</p></body></html>"
        parts = [plain, self._part("text/html", html, "quoted-printable")]
        if number % 9 == 0:
            pdf = base64.encodebytes(self._random.randbytes(6000)).replace(b"\n", b"\r\n")
            kind = b"Content-Type: application/pdf; name=a.pdf\r\n"
            parts.append(kind + b"Content-Transfer-Encoding: base64\r\n\r\n" + pdf)
        kind = b"mixed" if len(parts) > 2 else b"alternative"
        boundary = b"=_%08x" % number
        body = b"".join(b"\r\n--%b\r\n%b" % (boundary, part) for part in parts) + b"\r\n--%b--\r\n" % boundary
        return header + b'Content-Type: multipart/%b; boundary="%b"\r\n' % (kind, boundary) + body


def tell(name: str, count: int, step: Callable[[], object]) -> None:
    """Run a step, and print what it cost for each of `count` messages."""
    cpu, began = time.process_time(), time.perf_counter()
    step()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    print(f"{name:24} {cpu / count * 1e6:9.1f} us CPU a message {wall / count * 1e6:9.1f} us")


def measure(directory: Path, house: imap_client.House, options: argparse.Namespace) -> None:
    """All steps, on a mailbox that is made first."""
    reader = house.reader(ACCOUNT)
    account = directory / "accounts" / ACCOUNT
    corpus = Corpus(options.size)
    octets = 0
    for number in range(options.messages):
        message = make_message(number, options.size) if options.mail == "bench" else corpus.message(number)
        octets += len(message)
        (account / "new" / f"{1_760_000_000 + number}.M{number}.bench,S={len(message)}").write_bytes(message)
    tell("adopt", options.messages, lambda: reader.open("INBOX"))
    box = reader.open("INBOX")
    index = house.readers._index(ACCOUNT)
    filler = Filler(index)

    def repeat(step: Callable[[], int]) -> None:
        while step():
            pass

    def search(text: str) -> None:
        key = Contains(Where.TEXT, text)
        tell(f"search {text!r}", options.messages, lambda: Searcher(index, box).search(key, lambda _: None))

    search("zymurgy it is")  # nothing is indexed yet: every message is read
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    tell("ready", options.messages, lambda: repeat(filler.fill))
    tell("text index", options.messages, lambda: repeat(filler.index_some))
    if options.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    search("example.com")  # all messages have it
    search("weather in Jan" if options.mail == "bench" else "mail.example.com with ESMTPS id")
    for name in ("index.sqlite3", "search.sqlite3"):
        size = sum(path.stat().st_size for path in account.glob(f"{name}*") if not path.name.endswith("-shm"))
        print(f"{name:24} {100 * size / octets:9.1f} % of the messages")


def main() -> int:
    parser = argparse.ArgumentParser(description="filling: what is computed of messages")
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--mail", choices=["bench", "mixed"], default="bench")
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="filling-"))
    house = imap_client.House(directory, clock=SystemClock())
    try:
        measure(directory, house, options)
    finally:
        house.readers.close()
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
