"""Account tools as real processes beside a real server: a move to another server, cut off, repeated, compared."""

import hashlib
import imaplib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailsrv.directory.passwords import hash_password
from tests.ports import free_port
from tests.whole.running import DEADLINE, TOP, wait_until

PASSWORD = "open sesame 1"
HASH = hash_password(PASSWORD)
COUNT = 600

MORE = """
[[listeners]]
kind = "imap"
port = {imap}
without_tls = true
[limits]
workers = 1
drain_seconds = 1
free_bytes = 0
"""


def make(make_server):
    port = free_port()
    server = make_server(accounts=f'password_hash = "{HASH}"\n', more=MORE.format(imap=port))
    server.imap = port
    return server


def log_in(server):
    client = imaplib.IMAP4("127.0.0.1", server.imap, timeout=DEADLINE)
    client.login("alice", PASSWORD)
    return client


def start(server, *words):
    """A command as a process that is not waited for."""
    return subprocess.Popen(
        [sys.executable, str(TOP / "bin" / "mailsrv"), "--config", str(server.config), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MAILSRV_IMPORT_PASSWORD": PASSWORD},
    )  # fmt: skip


def finish(process, code=0):
    out, err = process.communicate(timeout=DEADLINE * 3)
    assert process.returncode == code, err
    return out


def sums(root: Path):
    """Digests of all messages below a directory, sorted."""
    files = [path for leaf in ("cur", "new") for path in root.rglob(f"{leaf}/*")]
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


@pytest.fixture
def old(make_server):
    """A server with mail in three mailboxes, told by IMAP."""
    server = make(make_server)
    server.start()
    client = log_in(server)
    client.create('"Lists/python"')
    client.subscribe('"Lists/python"')
    for number in range(20):
        text = f"Subject: {number}\r\n\r\nFrom {number}\r\n".encode()
        client.append('"Lists/python"', "\\Seen work", f'"{number + 1:2}-Jan-2020 10:00:00 +0000"', text)
    client.logout()
    for number in range(5):
        server.deliver(f"delivered {number}")
    return server


def imap_words(server):
    return ["--host", "127.0.0.1", "--port", str(server.imap), "--user", "alice", "--security", "plain", "--json"]


def test_a_move_from_one_server_to_another(old, make_server):
    new = make(make_server)
    new.start()
    idle = log_in(new)
    idle.select("INBOX")
    words = ["import", "imap", "alice", *imap_words(old)]
    rows = {row["mailbox"]: row for row in json.loads(finish(start(new, *words)))}
    assert (rows["INBOX"]["taken"], rows["Lists/python"]["taken"]) == (5, 20)
    assert sums(new.data / "accounts/alice") == sums(old.data / "accounts/alice")
    idle.noop()
    assert idle.untagged_responses["EXISTS"][-1] == b"5"
    # What happens there meanwhile comes with the second pass, and nothing comes twice.
    client = log_in(old)
    client.select('"Lists/python"')
    client.store("1:3", "+FLAGS", "(\\Flagged)")
    client.logout()
    old.deliver("late")
    rows = {row["mailbox"]: row for row in json.loads(finish(start(new, *words)))}
    assert (rows["INBOX"]["taken"], rows["INBOX"]["known"], rows["Lists/python"]["updated"]) == (1, 5, 3)
    there = log_in(new)
    assert there.select('"Lists/python"') == ("OK", [b"20"])
    status, [first, *_] = there.fetch("1", "(FLAGS INTERNALDATE)")
    assert b"01-Jan-2020 10:00:00 +0000" in first or b" 1-Jan-2020 10:00:00 +0000" in first
    assert {b"\\Seen", b"\\Flagged", b"work"} <= set(imaplib.ParseFlags(first))
    assert sums(new.data / "accounts/alice") == sums(old.data / "accounts/alice")


def test_an_import_that_is_killed_goes_on(make_server):
    server = make(make_server)
    server.start()
    source = server.root / "maildir"
    for leaf in ("cur", "new", "tmp"):
        (source / leaf).mkdir(parents=True)
    for number in range(COUNT):
        (source / "cur" / f"{number:05}.x:2,S").write_bytes(f"Subject: {number}\r\n\r\n".encode())
    source.chmod(0o755)
    inbox = server.data / "accounts/alice/cur"
    process = start(server, "import", "maildir", "alice", str(source))
    wait_until(lambda: len(os.listdir(inbox)) >= 1 or process.poll() is not None, "something was taken")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finish(start(server, "import", "maildir", "alice", str(source)))
    assert sums(server.data / "accounts/alice") == sums(source)
    [row] = json.loads(finish(start(server, "import", "maildir", "alice", str(source), "--json")))
    assert (row["there"], row["taken"], row["known"]) == (COUNT, 0, COUNT)
    assert server.run("verify").stdout == ""


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_out_of_one_data_dir_and_into_another(old, make_server, kind):
    new = make(make_server)
    assert "mailsrv serve" in new.run("mailbox", "list", "alice", check=False).stderr or os.geteuid() != 0
    new.start()
    finish(start(old, "export", kind, "alice", str(old.root / "out")))
    finish(start(new, "import", kind, "alice", str(old.root / "out")))
    assert sums(new.data / "accounts/alice") == sums(old.data / "accounts/alice")
    lists = [json.loads(server.run("mailbox", "list", "alice", "--json").stdout) for server in (old, new)]
    names = ("name", "messages", "unseen", "octets", "special_use")
    assert [[row[name] for name in names] for row in lists[0]] == [[row[name] for name in names] for row in lists[1]]


def test_mailboxes_are_made_under_a_session(old):
    client = log_in(old)
    old.run("mailbox", "create", "alice", "New")
    assert client.select("New") == ("OK", [b"0"])
    old.run("mailbox", "rename", "alice", "Lists", "L")
    assert any(b"L/python" in line for line in client.list()[1])
    old.run("mailbox", "delete", "alice", "New")
    with pytest.raises(imaplib.IMAP4.abort, match="was deleted"):
        client.list()
    assert not any(b"New" in line for line in log_in(old).list()[1])
