"""mailsrv test as a real process beside a real server: what is rehearsed is what happens, and nothing happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mailsrv.cli.program import DEFAULT_CONFIG
from mailsrv.mail.header import scan, unfold
from tests.fakes.dns import FakeDnsServer
from tests.whole.running import TOP, wait_until
from tests.whole.test_checks import CHECKS, CLIENT, ZONE, send, write

OTHER = "127.0.0.8"
# domain of From, reverse-path, client, whether it is signed
ATTEMPTS = [
    ("far.example", "a@far.example", CLIENT, False),
    ("far.example", "a@far.example", OTHER, False),
    ("far.example", "x@lists.example", OTHER, True),
    ("soft.example", "a@elsewhere.example", CLIENT, False),
    ("alone.example", "a@alone.example", CLIENT, False),
    ("broken.example", "a@broken.example", CLIENT, False),
    ("nobody.example", "", CLIENT, False),
]


@pytest.fixture
def place(make_server):
    """A server that is not started, and its DNS."""
    with FakeDnsServer(ZONE) as dns:
        yield make_server(more=CHECKS.format(nameserver=dns.nameserver) + "[limits]\nworkers = 1\n"), dns


def rehearse(server, message, sender, client, *more):
    """Exit code and output of a process."""
    words = ["--ip", client, "--helo", "client.example", "--from", f"<{sender}>", *more]
    done = subprocess.run(
        [sys.executable, str(TOP / "bin" / "mailsrv"), "--config", str(server.config), "test", "message", *words],
        input=message, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


def reasons(octets):
    """The reasons field, on one line."""
    (value,) = scan(octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), True).values(b"x-mailsrv-reasons")
    return unfold(value)


def test_what_is_rehearsed_is_what_happens(place):
    server, _ = place
    server.start()
    for domain, sender, client, signed in ATTEMPTS:
        message = write(domain, signed)
        exit_code, printed = rehearse(server, message, sender, client, "--json")
        found = json.loads(printed)
        before = set(server.messages())
        code, text = send(server, message, sender, client)
        assert found["reply"].split()[0] == str(code), f"{found['reply']} but {code} {text}"
        assert exit_code == {2: 0, 4: 75, 5: 69}[code // 100]
        if code == 250:
            (mailbox,) = found["mailboxes"]
            if mailbox["mailbox"] == "Junk":
                stored = server.wait_for_junk(f"from {domain}")
            else:
                (stored,) = set(server.messages()) - before
            assert mailbox["account"] == "alice"
            assert reasons("".join(found["added"]).encode() + b"\r\n") == reasons(stored.encode())
    records = (server.data / "decisions/current.jsonl").read_text().splitlines()
    assert len(records) == len(ATTEMPTS)
    server.wait("session", count=len(ATTEMPTS))


def test_nothing_is_made(place):
    server, dns = place
    code, printed = rehearse(server, write("far.example"), "a@far.example", CLIENT)
    assert code == 0
    assert "MAILBOX\n  alice@example.test  INBOX of alice\n" in printed
    assert f'    far.example TXT             "v=spf1 ip4:{CLIENT} -all"\n' in printed
    assert printed.endswith("\nACCEPT: 250 2.0.0 accepted as TEST\n")
    assert not server.data.exists()
    assert dns.queries


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_does_not_read_what_strangers_wrote(place):
    server, dns = place
    dns.gate.clear()
    words = ["--ip", CLIENT, "--from", "a@far.example"]
    with subprocess.Popen(
        [sys.executable, str(TOP / "bin" / "mailsrv"), "--config", str(server.config), "test", "message", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdin.write(write("far.example"))
        process.stdin.close()
        wait_until(lambda: dns.queries, "it asks the DNS")
        status = Path(f"/proc/{process.pid}/status").read_text()
        dns.gate.set()
        printed = process.stdout.read()
    identifiers = re.findall(r"^[UG]id:\s+(.*)$", status, re.MULTILINE)
    assert len(identifiers) == 2
    assert "0" not in " ".join(identifiers).split()
    assert process.returncode in (0, 75)  # the DNS may have been waited for too long
    assert printed


@pytest.mark.skipif(os.path.exists(DEFAULT_CONFIG), reason="a server is installed here, whose configuration counts")
def test_checks_without_a_configuration(place):
    _, dns = place
    words = ["dmarc", "--domain", "news.soft.example", "--nameserver", dns.nameserver]
    done = subprocess.run(
        [sys.executable, str(TOP / "bin" / "mailsrv"), "test", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, cwd="/", check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("DMARC: policy quarantine\n")
