"""Benchmark of the queue, small: what 100 000 waiting messages cost, and messages per second from submission to
Postfix's smtp-sink, mailsrv interleaved with Postfix; a command, not a test.

    tests/bench/queue.py [--rounds 3] [--messages 1000] [--names 100000] [--destinations 1] [--tls]

A run ends when the sink has taken its last message. Both servers send over at most 10 connections to one next hop.
`--destinations` spreads mailsrv's mail over so many domains with MX hosts of their own; to Postfix, whose DNS is off,
it is one relay host. The mail is forwarded by aliases, so nothing is signed. As root, on an otherwise quiet machine.

Diagnostics: a run that loses a message ends with a traceback and the server's last lines.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import load  # noqa: E402
import mailsrv_server  # noqa: E402
import postfix  # noqa: E402
from server import Server, free_port  # noqa: E402

# Not before these: the standard library has a `queue` too.
sys.path.remove(str(HERE))
sys.path[:] = [str(mailsrv_server.CHECKOUT), *(path for path in sys.path if Path(path).resolve() != HERE)]

from mailsrv.deliver.backlog import Backlog  # noqa: E402
from mailsrv.spool.layout import prepare  # noqa: E402
from mailsrv.spool.queueid import QueueIds, child  # noqa: E402
from mailsrv.spool.scan import scan  # noqa: E402
from mailsrv.system.clock import SystemClock  # noqa: E402
from mailsrv.system.disk import Disk  # noqa: E402
from tests.fakes.dns import FakeDnsServer  # noqa: E402
from tests.fakes.log import FakeLog  # noqa: E402

CONNECTIONS = 10
USERS = 100
RUN_SECONDS = 120
MAILSRV = """\
hostname = "{hostname}"
data_dir = "{root}/data"
domains = ["bench.test"]
[[listeners]]
kind = "smtp"
port = {port}
[[accounts]]
name = "root"
addresses = ["postmaster@bench.test"]
[tls]
cert_file = "{certificate}"
key_file = "{key}"
[limits]
connections_per_address = 4000
[queue]
port = {sink}
connections_per_hop = {connections}
[dns]
nameservers = ["{nameserver}"]
[aliases]
{aliases}
"""


class Sink:
    """smtp-sink on a port; it ends by itself after so many messages."""

    def __init__(self, messages: int) -> None:
        self.port = free_port()
        program = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "smtp-sink is not installed"
        command = [program, "-u", "root", "-M", str(messages), f"127.0.0.1:{self.port}", "1024"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> float:
        """The moment of its end (time.monotonic)."""
        self._process.wait(RUN_SECONDS)
        return time.monotonic()

    def stop(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()


class RelayingMailsrv(mailsrv_server.Mailsrv):
    """mailsrv whose aliases all lead to the sink."""

    def __init__(self, root: Path, sink: int, nameserver: str, destinations: int) -> None:
        super().__init__(root)
        self._sink, self._nameserver, self._destinations = sink, nameserver, destinations

    def command(self) -> list[str]:
        """The configuration of mailsrv_server is replaced."""
        words = super().command()
        aliases = [f'"u{n}@bench.test" = "u{n}@d{n % self._destinations}.sink.test"' for n in range(USERS)]
        text = MAILSRV.format(
            hostname=self.hostname, root=self.root, port=self.port, certificate=self.certificate, key=self.key,
            sink=self._sink, connections=CONNECTIONS, nameserver=self._nameserver, aliases="\n".join(aliases),
        )  # fmt: skip
        Path(words[-1]).write_text(text)
        return words


class RelayingPostfix(postfix.Postfix):
    """Postfix whose mail for the sink's domain goes there."""

    def __init__(self, root: Path, sink: int) -> None:
        super().__init__(root)
        self._sink = sink

    def command(self) -> list[str]:
        """The configuration of postfix.py, with an smtp client."""
        words = super().command()
        config = self.root / "etc"
        text = (config / "main.cf").read_text()
        text = re.sub(r"(?m)^virtual_mailbox_domains.*$", "virtual_mailbox_domains =", text)
        more = f"relayhost = [127.0.0.1]:{self._sink}\ndefault_destination_concurrency_limit = {CONNECTIONS}\n"
        (config / "main.cf").write_text(text + more)
        with (config / "master.cf").open("a") as file:
            file.write("smtp unix - - n - - smtp\n")
        return words


def measure_scan(names: int, base: Path) -> None:
    """A queue of so many empty files: seconds to read it, octets per message in memory."""
    disk, clock = Disk(), SystemClock()
    layout = prepare(disk, str(base / "scan"))
    ids = QueueIds(clock, 1)
    for _ in range(names):
        os.close(os.open(f"{layout.queue}/{child(ids.new(), 0)}", os.O_CREAT | os.O_WRONLY, 0o400))
    seconds = []
    for _ in range(3):
        backlog = Backlog(1000)
        began = time.monotonic()
        backlog.replace(scan(disk, layout, FakeLog()), frozenset())
        seconds.append(time.monotonic() - began)
    del backlog
    tracemalloc.start()
    backlog = Backlog(1000)
    backlog.replace(scan(disk, layout, FakeLog()), frozenset())
    memory, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(backlog) == names
    print(
        f"scan of {names}: {median(seconds):.2f} s (wanted: under 2), {memory / names:.0f} octets per message"
        f" (wanted: at most 200), {most / names:.0f} while it is read"
    )


ZONE = "mx.sink.test A 127.0.0.1\n" + "".join(f"d{n}.sink.test MX 10 mx.sink.test\n" for n in range(USERS))


def measure_rate(name: str, options: argparse.Namespace, base: Path) -> tuple[float, float]:
    """Messages per second from the first submission to the last arrival, and the server's CPU seconds per 1000."""
    sink = Sink(options.messages)
    root = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    with FakeDnsServer(ZONE) as dns:
        server: Server
        if name == "mailsrv":
            server = RelayingMailsrv(root, sink.port, dns.nameserver, options.destinations)
        else:
            server = RelayingPostfix(root, sink.port)
        server.start()
        try:
            before = server.group.cpu_seconds()
            done = load.run(load.Plan(server.port, CONNECTIONS, options.messages, starttls=options.tls))
            seconds = sink.wait() - done.started
            cpu = server.group.cpu_seconds() - before
        except BaseException:
            print(server.log_end(), file=sys.stderr)
            raise
        finally:
            sink.stop()
            server.stop()
    return options.messages / seconds, cpu * 1000 / options.messages


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--destinations", type=int, default=1, choices=(1, 10, 100))
    parser.add_argument("--tls", action="store_true", help="submission with STARTTLS (smtp-sink speaks none)")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="mailsrv-queue-"))
    base.chmod(0o755)
    try:
        if options.names:
            measure_scan(options.names, base)
        servers = ["mailsrv", *(["postfix"] if postfix.available() else [])]
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name in servers:
                found[name].append(measure_rate(name, options, base))
        rates = {name: median(rate for rate, _ in runs) for name, runs in found.items() if runs}
        for name, rate in rates.items():
            cpu = median(cpu for _, cpu in found[name])
            print(f"{name:8} {rate:7.0f} messages/s, {cpu:.2f} CPU s per 1000")
        if rates.get("postfix"):
            print(f"ratio {rates['mailsrv'] / rates['postfix']:.2f} (wanted: 1.5)")
    finally:
        shutil.rmtree(base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
