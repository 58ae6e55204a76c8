"""A real mailsrv for the peers to talk to: the real command, in one directory, with every listener kind on free ports.

It starts the server and reads what lies in the Maildirs; it never looks into the server in any other way, because a
peer cannot either. The directory is made outside pytest's own (which is closed to the service user).

Diagnostics: a server that does not greet on every port within 20 s, or dies, fails the test with the end of its log.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

CHECKOUT = Path(__file__).resolve().parents[2]
MAILSRV = [sys.executable, str(CHECKOUT / "bin" / "mailsrv")]
DOMAIN = "example.org"
PASSWORDS = {"alice": "correct horse", "bob": "battery staple"}
KINDS = ("smtp", "submission", "submissions", "lmtp")
START_SECONDS = 20
CONFIG = """\
hostname = "{hostname}"
data_dir = "{root}/data"
domains = ["{domain}"]
{top}
[tls]
cert_file = "{root}/cert.pem"
key_file = "{root}/key.pem"

{extra}
[[listeners]]
kind = "lmtp"
addr = "{root}/lmtp"
"""
LISTENER = '\n[[listeners]]\nkind = "{kind}"\nport = {port}\n'


@dataclass(frozen=True, slots=True)
class Door:
    """A way in. address: "127.0.0.1:port", or a unix socket's path."""

    kind: str
    port: int
    path: str = ""


class House:
    """One running server. ports: by listener kind; lmtp also listens on the unix socket `lmtp_path`."""

    def __init__(self, extra: str = "", top: str = "", receivers: tuple[str, ...] = ("source",)) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="mailsrv-peers-"))
        self.root.chmod(0o755)
        self.certificate = self.root / "cert.pem"
        self.lmtp_path = self.root / "lmtp"
        self.ports = dict(zip(KINDS, free_ports(len(KINDS)), strict=True))
        self.hostname = f"mx-{os.getpid()}-{self.ports['smtp']}.example.org"
        self.config = self.root / "mailsrv.toml"
        self._process: subprocess.Popen | None = None
        _write_certificate(self.root)
        text = CONFIG.format(root=self.root, hostname=self.hostname, domain=DOMAIN, extra=extra, top=top)
        text += "".join(LISTENER.format(kind=kind, port=port) for kind, port in self.ports.items())
        text += "".join(_account(name, PASSWORDS.get(name)) for name in (*PASSWORDS, *receivers))
        self.config.write_text(text)
        self.config.chmod(0o600)

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when every port greets."""
        with (self.root / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [*MAILSRV, "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.said()
                self.stop()
                pytest.fail(f"mailsrv does not greet (exit status {self._process.poll()})\n{said}")
            time.sleep(0.05)

    def _listens(self) -> bool:
        # By name, so that it is not another server. All ports are bound before the first greeting.
        try:
            with socket.create_connection(("127.0.0.1", self.ports["smtp"]), 2) as probe:
                return probe.recv(512).startswith(f"220 {self.hostname} ".encode())
        except OSError:
            return False

    def stop(self) -> int:
        """End it with SIGTERM and return its exit status; remove its directory."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait(30)
        shutil.rmtree(self.root)
        return status

    def said(self) -> str:
        """The end of what it wrote: its log goes to stderr."""
        return "\n".join((self.root / "output").read_text(errors="replace").splitlines()[-30:])

    def delivered(self, account: str) -> list[bytes]:
        """The octets of every message in the account's new/."""
        new = self.root / "data" / "accounts" / account / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []

    def expect_one(self, account: str, marker: str) -> bytes:
        """The one message with `marker` in it: it must lie there already, because its 250 was sent."""
        found = [octets for octets in self.delivered(account) if marker.encode() in octets]
        assert len(found) == 1, f"{len(found)} messages with {marker} for {account}\n{self.said()}"
        assert found[0].startswith(b"Return-Path: <"), found[0][:80]
        assert not re.search(rb"(?<!\r)\n", found[0]), "a line without CRLF"
        return found[0]


def _write_certificate(root: Path) -> None:
    names = "subjectAltName=DNS:localhost,DNS:mx.example.org,IP:127.0.0.1"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", names, "-keyout", str(root / "key.pem"), "-out", str(root / "cert.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    (root / "key.pem").chmod(0o600)


def _account(name: str, password: str | None) -> str:
    addresses = f'"{name}@{DOMAIN}"' + (f', "postmaster@{DOMAIN}"' if name == "alice" else "")
    text = f'\n[[accounts]]\nname = "{name}"\naddresses = [{addresses}]\n'
    if password is None:
        return text
    done = subprocess.run([*MAILSRV, "passwd"], input=f"{password}\n", capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    keys = tomllib.loads(done.stdout)
    return text + "".join(f'{key} = "{keys[key]}"\n' for key in ("password_hash", "scram_sha_256"))
