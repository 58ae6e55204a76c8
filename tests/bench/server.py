"""A server under test: what the cases need of one, and what both have in common.

A subclass writes its configuration into a fresh directory, names its command and says where delivered files lie. Every
instance is started once and stopped once, by process id; the caller removes the directory at the very end.

Diagnostics: a server that does not greet within 20 s, or dies, raises ServerError with the end of its log.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import measure

CHECKOUT = Path(__file__).resolve().parents[2]
READY_SECONDS = 20.0
DELIVERED_SECONDS = 60.0
MAILBOXES = 100
DOMAIN = "bench.test"


class ServerError(Exception):
    """The server did not start, or lost something."""


def free_port() -> int:
    """A loopback port that was free a moment ago, below those that the kernel gives to clients: it stays free."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate and its key, as (certificate, key)."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    extra = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    key.chmod(0o600)
    return certificate, key


class Server:
    """One instance in one directory, `root`, which is new and empty."""

    name = ""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.hostname = f"{self.name}-{os.getpid()}-{root.name[:3]}.bench.test"
        self.group = measure.Group(f"{self.name}-{root.name}")
        self._process: subprocess.Popen[bytes] | None = None
        root.chmod(0o755)
        self.certificate, self.key = write_certificate(root)

    def command(self) -> list[str]:
        """Write what the server needs and return its command; it must stay in the foreground."""
        raise NotImplementedError

    def mailboxes(self) -> list[Path]:
        """The new/ directories of u0..u99; they need not exist yet."""
        raise NotImplementedError

    def start(self, prefix: list[str] | None = None) -> None:
        """Start, and return once the port greets."""
        with (self.root / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [*(prefix or []), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=self.group.enter,
                env=self.environment(),
            )
        self.group.lead(self._process.pid)
        deadline = time.monotonic() + READY_SECONDS
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not greet\n{self.log_end()}")
            time.sleep(0.02)

    def environment(self) -> dict[str, str]:
        """The server's environment: ours without what could steer it, and this checkout before any other that the
        interpreter has installed."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAIL", "PYTHON"))}
        return kept | {"PYTHONPATH": str(CHECKOUT)}

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                greeting = probe.recv(512)
                probe.sendall(b"QUIT\r\n")
                ours = greeting.startswith(b"220 " + self.hostname.encode())  # and not another server on this port
                return ours and probe.recv(512).startswith(b"221")
        except OSError:
            return False

    def delivered(self) -> int:
        """Files lying in the Maildirs."""
        total = 0
        for directory in self.mailboxes():
            try:
                total += len(os.listdir(directory))
            except FileNotFoundError:
                continue
        return total

    def wait_delivered(self, count: int) -> float:
        """Poll until `count` files lie in the Maildirs; the moment that was seen (time.monotonic)."""
        deadline = time.monotonic() + DELIVERED_SECONDS
        while (seen := self.delivered()) < count:
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name}: {seen} of {count} files after {DELIVERED_SECONDS:.0f} s\n{self.log_end()}"
                )
            time.sleep(0.01)
        now = time.monotonic()
        if seen > count:
            raise ServerError(f"{self.name}: {seen} files for {count} deliveries")
        return now

    def log_end(self) -> str:
        """The last lines the server wrote."""
        lines: list[str] = []
        for name in ("output", "mail.log"):
            path = self.root / name
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(lines)

    def stop(self) -> None:
        """Ask it to leave; after 15 s kill what is left of its own processes."""
        if self._process is None:
            return
        leaders = [pid for pid in self.group.pids() if pid != self._process.pid] if self._traced() else []
        for pid in leaders[:1] or [self._process.pid]:
            _signal(pid, signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            for pid in self.group.pids():
                _signal(pid, signal.SIGKILL)
            self._process.wait(15)
        self.group.close()
        self._process = None

    def _traced(self) -> bool:
        # Under strace the first process is strace, which would detach and leave the server running.
        assert self._process is not None
        return isinstance(self._process.args, list) and self._process.args[0] == "strace"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
