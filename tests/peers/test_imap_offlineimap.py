"""offlineimap and a Maildir: the first synchronisation, then flags, removals and mailboxes from both sides."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.peers.imap_house import PASSWORD, check, contents, digest, mailboxes, make_message

CONFIG = """\
[general]
metadata = {root}/metadata
accounts = all
fsync = False

[Account all]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {root}/mail
sync_deletes = yes

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {account}
remotepass = {password}
{tls}
maxconnections = {connections}
"""
# Without TLS: imaplib2 uses one TLS object in two threads, and under load it loses an answer, or its process, with any
# server. TLS is what the other clients are for.
WAYS = {"clear": ("clear", "ssl = no\nstarttls = no")}
LETTERS = {"S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "D": "\\Draft"}


class Offlineimap:
    """One program, one account, one directory."""

    def __init__(self, program, root, house, account, way):
        kind, tls = WAYS[way]
        self.mail = root / "mail"
        self._root, self._house, self._program = root, house, program
        self._config = root / "offlineimaprc"
        self._config.write_text(
            CONFIG.format(
                root=root, port=house.ports[kind], account=account, password=PASSWORD, connections=2,
                tls=tls.format(certificate=house.certificate),
            )
        )  # fmt: skip

    def run(self):
        """One synchronisation, which must end well."""
        done = subprocess.run(
            [self._program, "-c", str(self._config), "-o", "-u", "basic"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
            env={**os.environ, "HOME": str(self._root), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{said}\n{self._house.said()}"
        assert "ERROR" not in said, said

    def files(self, mailbox="INBOX"):
        """The messages of a local mailbox, sorted."""
        return sorted(path for leaf in ("new", "cur") for path in (self.mail / mailbox / leaf).glob("*"))

    def contents(self, mailbox="INBOX"):
        """How often each message, as (digest, flags), is in a local mailbox."""
        found: Counter = Counter()
        for path in self.files(mailbox):
            letters = path.name.partition(":2,")[2]
            flags = tuple(sorted(LETTERS[letter] for letter in letters if letter in LETTERS))
            found[digest(path.read_bytes()), flags] += 1
        return found

    def find(self, octets, mailbox="INBOX"):
        """The one local file of a message."""
        (path,) = [path for path in self.files(mailbox) if digest(path.read_bytes()) == digest(octets)]
        return path


def expect_same(near, client):
    names = mailboxes(client)
    assert sorted(path.name for path in near.mail.iterdir()) == [name.replace("/", ".") for name in names]
    for name in names:
        assert near.contents(name.replace("/", ".")) == contents(client, name), name


@pytest.mark.parametrize("way", WAYS)
def test_both_ways(way, imap_house, peer, tmp_path):
    account = imap_house.new_account()
    messages = [make_message(number) for number in range(40)]
    imap_house.put(account, messages)
    client = imap_house.log_in(account)
    check(client.create("Lists/Summer"))
    check(client.append("Lists/Summer", "(\\Flagged)", None, make_message(1, "summer")))
    near = Offlineimap(peer("offlineimap"), tmp_path, imap_house, account, way)
    near.run()
    assert near.contents().total() == 40
    expect_same(near, client)

    # Flags and a removal on each side, a new message on each side, a new mailbox here.
    path = near.find(messages[1])
    path.rename(near.mail / "INBOX" / "cur" / (path.name.partition(":2,")[0] + ":2,FS"))
    near.find(messages[2]).unlink()
    (near.mail / "INBOX" / "cur" / f"1.{sys.maxsize}.near:2,RS").write_bytes(make_message(1, "near", "\n"))
    for leaf in ("cur", "new", "tmp"):
        (near.mail / "Notes" / leaf).mkdir(parents=True)
    (near.mail / "Notes" / "cur" / "2.near:2,S").write_bytes(make_message(2, "near", "\n"))
    check(client.select("INBOX"))
    check(client.store("11", "+FLAGS", "(\\Answered \\Seen)"))
    check(client.store("12:14", "+FLAGS", "(\\Deleted)"))
    check(client.expunge())
    check(client.append("INBOX", "(\\Draft)", None, make_message(1, "far")))

    near.run()
    expect_same(near, client)
    assert near.contents().total() == 40 - 1 - 3 + 1 + 1
    assert contents(client)[digest(messages[1]), ("\\Flagged", "\\Seen")] == 1
    assert near.contents("Notes")[digest(make_message(2, "near")), ("\\Seen",)] == 1
    before = sorted(map(str, near.mail.rglob("*"))), contents(client)
    near.run()
    assert (sorted(map(str, near.mail.rglob("*"))), contents(client)) == before
    client.logout()
