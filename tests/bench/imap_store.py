"""Benchmark of FETCH alone: store, view and protocol core in this process, a reader of the octets in another one.

    tests/bench/imap_store.py [--messages 10000] [--size 16384] [--rounds 3] [--keep DIRECTORY]

Synthetic messages (a header as mailing lists make it; every fourth has an attachment) are put into the Maildir of an
account, adopted, and computed; the time of both is told. Each command then runs `rounds` times through the session's
core into a socket pair, files by sendfile; the median is told. `--keep` makes the mailbox there, and uses it again.

Diagnostics: an answer other than OK ends the run with exit status 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mailsrv.imap.answers import Segment, Status, Word
from mailsrv.imap.events import Command
from mailsrv.store.filling import Filler
from mailsrv.store.index import Key
from mailsrv.system.clock import SystemClock
from tests.fakes import imap_client

ACCOUNT = "alice"
COMMANDS = (
    ("UID FLAGS", b"UID FETCH 1:* (UID FLAGS)"),
    ("metadata", b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"),
    ("header fields", b"UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (DATE FROM TO SUBJECT MESSAGE-ID)])"),
    ("FULL", b"FETCH 1:* FULL"),
    ("header", b"FETCH 1:* (BODY.PEEK[HEADER])"),
    ("bodies", b"FETCH 1:* (UID BODY.PEEK[])"),
    ("part 1", b"FETCH 1:* (UID BODY.PEEK[1])"),
    ("binary 1", b"FETCH 1:* (UID BINARY.PEEK[1])"),
)

HEADER = """\
Return-Path: <list-bounces+{number}@lists.example.org>\r
Received: from mx{number}.example.org (mx.example.org [192.0.2.{octet}])\r
\tby mail.example.com with ESMTPS id ABC{number};\r
\tThu, 0{day} Jan 2026 10:{minute:02d}:00 +0000\r
Date: Thu, 0{day} Jan 2026 10:{minute:02d}:00 +0000\r
From: =?utf-8?Q?Fr=C3=A9d=C3=A9ric?= Example {number} <person{number}@example.org>\r
To: bench@example.com, "Somebody Else" <else{number}@example.com>\r
Cc: A List <list@lists.example.org>\r
Subject: [list] Message number {number} about the weather in January\r
Message-ID: <{number}.message@example.org>\r
In-Reply-To: <{before}.message@example.org>\r
References: <1.message@example.org> <{before}.message@example.org>\r
List-Id: A List <list.lists.example.org>\r
MIME-Version: 1.0\r
"""
PLAIN = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
MIXED = 'Content-Type: multipart/mixed; boundary="=-bound{number}"\r\n\r\n--=-bound{number}\r\n' + PLAIN
ATTACHED = (
    "\r\n--=-bound{number}\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\n"
    "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"report.pdf\"\r\n\r\n"
)
LINE = "The quick brown fox jumps over the lazy dog, and again it rains today.\r\n"
DIGITS = "JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0ZURl\r\n"


def make_message(number: int, size: int) -> bytes:
    """A message of about `size` octets."""
    values = {"number": number, "before": number - 1, "octet": number % 250, "day": number % 9 + 1}
    values["minute"] = number % 60
    text = HEADER.format(**values)
    if number % 4:
        text += PLAIN
        return (text + LINE * (max(size - len(text), 0) // len(LINE) + 1)).encode()
    text += MIXED.format(**values) + LINE * (size // 4 // len(LINE) + 1) + ATTACHED.format(**values)
    text += DIGITS * (max(size - len(text), 0) // len(DIGITS) + 1) + f"\r\n--=-bound{number}--\r\n"
    return text.encode()


def make_mailbox(directory: Path, count: int, size: int) -> None:
    """Put messages into cur/ of the account, without waiting for the disk."""
    cur = directory / "accounts" / ACCOUNT / "cur"
    for number in range(1, count + 1):
        octets = make_message(number, size + number * 37 % 2048 - 1024 if size > 2048 else size)
        (cur / f"{1_700_000_000 + number}.B{number}.bench,S={len(octets)}:2,").write_bytes(octets)


class Client:
    """A session in this process whose octets go to another one."""

    def __init__(self, house: imap_client.House) -> None:
        inner = imap_client.Client(house, ACCOUNT)
        self.core, self.policy = inner.core, inner.policy
        self._ours, theirs = socket.socketpair()
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.sent = 0
        self._child = os.fork()
        if not self._child:
            self._ours.close()
            buffer = bytearray(1 << 20)
            while theirs.recv_into(buffer):
                pass
            os._exit(0)
        theirs.close()
        self.connect(self.flush)

    def connect(self, flush: Callable[[], None]) -> None:
        """Have what waits sent by `flush`."""
        self.policy.connect(self.core, flush, lambda: None)

    def run(self, line: bytes) -> Status:
        """One command and its answer."""
        self.core.receive_data(b"a " + line + b"\r\n")
        event = self.core.next_event()
        assert isinstance(event, Command), self.core.data_to_send()
        answer = self.policy.answer(event)
        assert isinstance(answer, Status)
        self.core.answer(answer)
        self.policy._state.flush()
        return answer

    def flush(self) -> None:
        """As the pump does in clear."""
        for piece in self.core.data_to_send():
            if isinstance(piece, Segment):
                offset, left = piece.offset, piece.length
                while left:
                    sent = os.sendfile(self._ours.fileno(), piece.source.fileno(), offset, left)
                    offset, left = offset + sent, left - sent
                self.sent += piece.length
            else:
                self._ours.sendall(piece)
                self.sent += len(piece)

    def close(self) -> None:
        """End the other process."""
        self._ours.close()
        os.waitpid(self._child, 0)


def measure(client: Client, count: int, rounds: int) -> bool:
    """Run every command and tell how long it took; False when one failed."""
    for name, line in COMMANDS:
        times, spent, before = [], [], client.sent
        for _ in range(rounds):
            began, used = time.perf_counter(), time.process_time()
            answer = client.run(line)
            times.append(time.perf_counter() - began)
            spent.append(time.process_time() - used)
            if answer.word is not Word.OK:
                print(f"{name}: {answer}", file=sys.stderr)
                return False
        seconds, cpu = median(times), median(spent)
        octets = (client.sent - before) / rounds
        rates = f"{count / seconds:10,.0f}/s {octets / seconds / 1e6:8.1f} MB/s"
        print(f"{name:14} {seconds * 1000:8.1f} ms {cpu * 1000:8.1f} ms CPU {rates}")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    directory = Path(arguments.keep or tempfile.mkdtemp(prefix="imap-store-"))
    fresh = not (directory / "accounts").is_dir()
    house = imap_client.House(directory, clock=SystemClock())
    try:
        reader = house.reader(ACCOUNT)
        if fresh:
            make_mailbox(directory, arguments.messages, arguments.size)
        began = time.perf_counter()
        box = reader.open("INBOX")
        print(f"open           {(time.perf_counter() - began) * 1000:8.1f} ms")
        began = time.perf_counter()
        Filler(house.readers._index(ACCOUNT)).fill_mailbox(Key(box.id, box.uidvalidity), lambda files: None)
        seconds = time.perf_counter() - began
        print(f"compute        {seconds * 1000:8.1f} ms {arguments.messages / seconds:10,.0f}/s")
        client = Client(house)
        began = time.perf_counter()
        client.run(b"EXAMINE INBOX")
        print(f"select         {(time.perf_counter() - began) * 1000:8.1f} ms")
        done = measure(client, box.status().messages, arguments.rounds)
        client.close()
    finally:
        house.readers.close()
        if not arguments.keep:
            shutil.rmtree(directory)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
