"""A mailsrv with IMAP on three free ports for the clients that people use, and what is compared: octets and flags.

The server is looked at as its clients do, through Python's own imaplib; only messages that lie there before the first
look are put into an account's new/ as files, as a delivery does it. Nothing here reads the index.

Diagnostics: an answer that is not OK fails the test with what the server said.
"""

import hashlib
import imaplib
import itertools
import os
import re
import ssl
import subprocess
import time
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.peers.house import MAILSRV, House
from tests.ports import free_ports

PASSWORD = "correct horse"
WAIT_SECONDS = 60  # far more than anything takes, so that a loaded machine does not fail a test
ACCOUNTS = tuple(f"reader{number:02}" for number in range(50))
NARROW, NARROW_MESSAGES = "narrow", 3  # an account with a quota
KEEPER = "keeper"  # an account that may set quotas
EXTRA = """\
[bans]
allow = ["127.0.0.0/8"]

[limits]
imapd_workers = 2

[[listeners]]
kind = "imap"
port = {imap}

[[listeners]]
kind = "imap"
port = {clear}
without_tls = true

[[listeners]]
kind = "imaps"
port = {imaps}
"""
ACCOUNT = """
[[accounts]]
name = "{name}"
addresses = ["{name}@example.org"]
password_hash = "{password_hash}"
scram_sha_256 = "{scram_sha_256}"
"""
FETCHED = re.compile(rb"\d+ \(.*?UID (\d+)")
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
LISTED = re.compile(rb'\((?P<attributes>[^)]*)\) "/" (?P<name>.+)')

imaplib._MAXLINE = max(imaplib._MAXLINE, 10_000_000)  # an answer to SEARCH of many messages is one line


class ImapHouse(House):
    """ports also has imap (STARTTLS), clear (logins without TLS) and imaps. Every test takes accounts of its own."""

    def __init__(self) -> None:
        kinds = ("imap", "clear", "imaps")
        ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
        done = subprocess.run(
            [*MAILSRV, "passwd"], input=f"{PASSWORD}\n", capture_output=True, text=True, timeout=30, check=True
        )
        keys = tomllib.loads(done.stdout)
        text = EXTRA.format(**ports) + "".join(ACCOUNT.format(name=name, **keys) for name in (*ACCOUNTS, NARROW))
        text += f"quota_messages = {NARROW_MESSAGES}\n"  # of the last one
        text += ACCOUNT.format(name=KEEPER, **keys) + "sets_quotas = true\n"
        super().__init__(extra=text)
        self.ports |= ports
        self._accounts = iter(ACCOUNTS)
        self._names = itertools.count(1)

    def new_account(self) -> str:
        """The name of an account that nobody has used yet."""
        return next(self._accounts)

    def connect(self, kind: str = "clear") -> imaplib.IMAP4:
        """Python's own client, greeted; TLS as the listener's kind wants it."""
        if kind == "imaps":
            return imaplib.IMAP4_SSL("localhost", self.ports[kind], ssl_context=self.trust(), timeout=WAIT_SECONDS)
        client = imaplib.IMAP4("127.0.0.1", self.ports[kind], timeout=WAIT_SECONDS)
        if kind == "imap":
            client.host = "localhost"  # the name that the certificate is looked at for
            client.starttls(self.trust())
        return client

    def log_in(self, account: str, kind: str = "clear") -> imaplib.IMAP4:
        """The same, logged in."""
        client = self.connect(kind)
        client.login(account, PASSWORD)
        return client

    def trust(self) -> ssl.SSLContext:
        """Accepts the server's certificate and nothing else, names included."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def home(self, account: str) -> Path:
        """The account's Maildir."""
        return self.root / "data" / "accounts" / account

    def put(self, account: str, messages: list[bytes]) -> None:
        """Messages as files in new/, as if they had been delivered while nobody looked."""
        home, owner = self.home(account), (self.root / "data" / "accounts").stat()
        for leaf in ("", "tmp", "cur", "new"):
            directory = home / leaf
            if not directory.exists():
                directory.mkdir(0o700)
                os.chown(directory, owner.st_uid, owner.st_gid)
        for octets in messages:
            path = home / "tmp" / f"{next(self._names):09}.put.{self.hostname}"
            path.write_bytes(octets)
            path.chmod(0o400)
            os.chown(path, owner.st_uid, owner.st_gid)
            path.rename(home / "new" / path.name)

    def imapds(self) -> list[int]:
        """Process numbers of the processes that serve IMAP."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"imapd" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def check(answer):
    """The data of an answer of imaplib, which must be OK."""
    status, data = answer
    assert status == "OK", data
    return data


def mailboxes(client) -> list[str]:
    """Names of all mailboxes that can be selected, sorted."""
    found = []
    for line in check(client.list()):
        row = LISTED.fullmatch(line)
        assert row, line
        if b"\\NoSelect".lower() not in row["attributes"].lower():
            found.append(row["name"].decode().strip('"'))
    return sorted(found)


def contents(client, mailbox="INBOX", kept=("\\Seen", "\\Answered", "\\Flagged", "\\Draft")) -> Counter:
    """How often each message, as (digest, flags), is in a mailbox; the flags that are compared are `kept`."""
    (count,) = check(client.select(f'"{mailbox}"', readonly=True))
    found: Counter = Counter()
    if not int(count):
        return found
    data = check(client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])"))
    for piece in data:
        if isinstance(piece, tuple):
            flags = FLAGS.search(piece[0])
            assert flags, piece[0]
            words = flags[1].decode().split()
            found[digest(piece[1]), tuple(sorted(word for word in words if word in kept))] += 1
    assert found.total() == int(count)
    return found


def digest(octets: bytes) -> str:
    """Of a message whichever line ends it has, without the field by which mbsync finds what it has uploaded."""
    octets = octets.replace(b"\r\n", b"\n")
    head, end, body = octets.partition(b"\n\n")
    head = re.sub(rb"(?m)^X-(?:TUID|OfflineIMAP): .*\n?", b"", head + b"\n").rstrip(b"\n")
    return hashlib.sha256(head + end + body).hexdigest()


def make_message(number: int, subject: str = "message", newline: str = "\r\n") -> bytes:
    """A message unlike every other one: plain text, or with parts; some long, some with octets above 127."""
    fields = [
        f"Return-Path: <writer{number % 7}@example.net>",
        f"Date: Sun, {1 + number % 28} Nov 2026 10:{number % 60:02}:00 +0000",
        f"From: Writer {number % 7} <writer{number % 7}@example.net>",
        "To: reader@example.org",
        f"Subject: {subject} {number}",
        f"Message-ID: <{subject}.{number}@example.net>",
        "MIME-Version: 1.0",
    ]
    text = [f"This is line {line} of {subject} {number}, gr\u00fcezi." for line in range(number % 40 + 1)]
    plain = ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", *text]
    if number % 10 == 3:
        attached = ["Content-Type: application/octet-stream", "Content-Transfer-Encoding: base64", "", "AAEC" * 19]
        fields.append('Content-Type: multipart/mixed; boundary="b1"')
        plain = ["", "--b1", *plain, "--b1", *attached, *["AAEC" * 19] * (number % 100), "--b1--"]
    return newline.join([*fields, *plain, ""]).encode()


def wait_until(look, what):
    """Look until it gives something true, and give that."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {WAIT_SECONDS} s: {what}")
        time.sleep(0.005)
    return found
