"""Quarantine in a real server: what is queued for Junk gets there, whether its mailbox exists or not."""

import os

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from mailsrv.system.wake import Waker


RUNNER = {"build": "mailsrv.serve.processes:build", "options": {"has_runner": True}}


def quarantine(server, subject):
    """Queue a message for alice's Junk, as one waits whose account could not take it when it came; gives its ID."""
    octets = f"Subject: {subject}\r\n\r\nhi\r\n".encode()
    recipient = Recipient(Address("alice", "example.test"), account="alice")
    identifier = child(QueueIds(SystemClock(), 0).new(), 0)
    envelope = Envelope(identifier, SystemClock().now(), None, (recipient,), size=len(octets), mailbox="Junk")
    disk, layout, waker = Disk(), Layout(str(server.data)), Waker()
    with Scratch(disk, "", 0, MemoryBudget(0)) as nothing:
        Spool(disk, str(server.data)).enqueue(envelope, Octets(octets, nothing))
    # The workers are not root.
    owner = server.data.stat()
    os.chown(f"{layout.queue}/{identifier}", owner.st_uid, owner.st_gid)
    waker.wake(layout.wake, identifier.encode())
    waker.close()
    return identifier


def test_what_waits_for_junk_gets_there(make_server):
    server = make_server()
    server.start(**RUNNER)
    server.wait("worker", kind="runner", state="ready")
    for subject in ("first", "second"):
        identifier = quarantine(server, subject)
        assert server.wait_for_junk(subject).startswith("Return-Path: <>\n")
        server.wait("attempt", id=identifier, account="alice", mailbox="Junk", status="delivered")
    assert server.deliver("third")[0] == 250
    (text,) = server.messages()
    assert "Subject: third" in text
    assert (server.data / "accounts/alice/.Junk/maildirfolder").read_bytes() == b""
