"""A real server on loopback for one test: its files, its processes, its log, and waiting for what should happen."""

import json
import os
import re
import shlex
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from mailsrv.serve.control import ask
from tests.ports import free_port

TOP = Path(__file__).resolve().parents[2]
DEADLINE = 20.0  # seconds; far more than anything takes, so that a loaded machine does not fail a test

BASE = """\
hostname = "mx.example.test"
data_dir = "{data}"
domains = ["example.test"]
{top}
[[accounts]]
name = "alice"
addresses = ["alice@example.test", "postmaster@example.test"]
{accounts}
[[listeners]]
kind = "smtp"
port = {port}
{more}
"""

_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def wait_until(look, what, deadline=DEADLINE):
    """Look until it gives something true, and give that; fails after the deadline. `look` may raise OSError."""
    pause = threading.Event()
    end = time.monotonic() + deadline
    while True:
        with suppress(OSError):
            found = look()
            if found:
                return found
        assert time.monotonic() < end, f"did not happen within {deadline} s: {what}"
        pause.wait(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False


def is_refused(port: int) -> bool:
    """Whether nobody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


class Running:
    """One data_dir and the server that serves it; `start` may be called again after its end."""

    def __init__(self, **text):
        # Not pytest's own directory: workers that are no longer root must be able to reach it.
        self.root = Path(tempfile.mkdtemp(prefix="mailsrv-whole-"))
        self.root.chmod(0o755)
        self.data = self.root / "data"
        self.config = self.root / "mailsrv.toml"
        self.log_file = self.root / "log"
        self.port = free_port()
        self.process = None
        self.again_seconds = 0.0  # how soon a new server must work after the first one was killed
        self.write(**text)

    def write(self, top="", accounts="", more=""):
        text = BASE.format(data=self.data, port=self.port, top=top, accounts=accounts, more=more)
        self.config.write_text(text)
        self.config.chmod(0o600)

    def start(self, wait="ready", build="", options=None, environ=None, **more):
        """Start a server; `wait` is the log event to wait for."""
        seen = len(self.events(wait)) if wait else 0
        began = time.monotonic()
        plan = {"options": {"config_path": str(self.config), **(options or {})}, "build": build, **more}
        # exec: what may come before it (socket activation) is a shell's work.
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.whole.launch", json.dumps(plan)],
                cwd=TOP,
                env={**os.environ, "PYTHONPATH": str(TOP), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                close_fds=not more.get("activate"),
            )
        if wait:
            self.wait(wait, count=seen + 1)
        if not self.again_seconds:
            # 5 seconds on a machine that is not busy with something else, where a start takes half a second.
            self.again_seconds = max(5.0, 5 * (time.monotonic() - began))
        return self.process

    def run(self, *words, check=True):
        """One command of mailsrv for this server."""
        done = subprocess.run(
            [sys.executable, str(TOP / "bin" / "mailsrv"), "--config", str(self.config), *words],
            capture_output=True, text=True, timeout=60, cwd=TOP, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{shlex.join(words)}: {done.returncode} {done.stderr}"
        return done

    def ask(self, verb, **words):
        return ask(str(self.data), {"verb": verb, **words}, 30)

    def text(self):
        return self.log_file.read_text() if self.log_file.exists() else ""

    def events(self, event, **fields):
        """Fields of every event of a name so far, with these values."""
        found = []
        for line in self.text().splitlines():
            if event not in line:  # taking a line apart takes long, and those who wait look at all of them again
                continue
            values = {name: json.loads(value) if value[:1] == '"' else value for name, value in _FIELD.findall(line)}
            wanted = {"event": event, **{name: str(value) for name, value in fields.items()}}
            if wanted.items() <= values.items():
                found.append(values)
        return found

    def wait(self, event, count=1, **fields):
        """Wait for the `count`-th event of a name with these values; gives it."""

        def look():
            ended = self.process.poll() is not None
            found = self.events(event, **fields)
            if ended and len(found) < count:
                raise AssertionError(f"the server ended ({self.process.returncode}):\n{self.text()}")
            return found if len(found) >= count else None

        try:
            return wait_until(look, f"{event} {fields}")[count - 1]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None

    def workers(self, state="ready"):
        """Process numbers of the workers in this state."""
        return [worker["pid"] for worker in self.ask("status")["workers"] if worker["state"] == state]

    def connect(self, port=0):
        return smtplib.SMTP("127.0.0.1", port or self.port, local_hostname="client.example.test", timeout=DEADLINE)

    def deliver(self, subject="hello"):
        """Send one message through a connection of its own; gives the final reply."""
        with self.connect() as client:
            return send(client, subject)

    def messages(self, account="alice", mailbox=""):
        """Text of everything that lies in new/ of an account's INBOX, or of another of its mailboxes."""
        home = self.data / "accounts" / account
        return [path.read_text() for path in ((home / f".{mailbox}" if mailbox else home) / "new").glob("*")]

    def wait_for_junk(self, subject="hello", account="alice"):
        """Wait until a message with this subject lies in Junk, alone and not in INBOX; gives its text."""
        line = f"\nSubject: {subject}\n"

        def look(mailbox="Junk"):
            return [text for text in self.messages(account, mailbox) if line in text]

        (found,) = wait_until(look, f"{subject!r} lies in Junk of {account}")
        assert look("") == [], f"{subject!r} lies in INBOX of {account}"
        return found

    def wait_end(self):
        """Exit status of the server."""
        return self.process.wait(DEADLINE)

    def stop(self):
        """Leave nothing behind."""
        if self.process and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE)
        elif self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # workers of a supervisor that was killed
        subprocess.run(["rm", "-rf", str(self.root)], check=True)


def send(client, subject="hello", to="alice@example.test"):
    """One transaction on an open connection: (code, text) of the final reply."""
    client.ehlo_or_helo_if_needed()
    assert client.mail("bob@example.org")[0] == 250
    code, text = client.rcpt(to)
    assert code == 250, text
    return client.data(f"Subject: {subject}\r\n\r\nhi\r\n".encode())
