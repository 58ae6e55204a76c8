"""Load generator: keeps C SMTP connections busy until N messages are accepted, and times each of them.

A few forked processes, each with one epoll loop over non-blocking sockets; a connection is a Python generator that
yields its link whenever it must wait. No smtplib, no threads: the generator shares the cores with the server it
measures, so it must be cheap (0.3 CPU seconds per 1000 small messages). It does not pipeline unless told to, it never
retries, and it never looks into the server's directories.

A message's latency runs from its first command (with a new connection per message: from connect) to its 250.

Diagnostics: a reply of another class than expected, a closed connection or a dead worker process raise LoadError with
the reply's text; nothing is counted as accepted that had no 250.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass

IN, OUT = select.EPOLLIN, select.EPOLLOUT
HEADER = (
    b"From: Bench <bench@sender.test>\r\nTo: list@bench.test\r\nSubject: bench\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
)
LINE = b"The quick brown fox jumps over the lazy dog and looks for its mailbox.\r\n"
WAIT_SECONDS = 60  # a server silent for this long has lost a connection; the run is void

Steps = Generator["Link", None, None]


class LoadError(Exception):
    """The server answered something else than the run needs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run sends. size: octets of a message; first: number of the first message (for the Message-ID); text: all
    that follows the Message-ID, the end of the message included, in place of text of that size."""

    port: int
    connections: int
    messages: int
    size: int = 4096
    recipients: int = 1
    fresh: bool = False
    starttls: bool = False
    pipelining: bool = False
    domain: str = "bench.test"
    mailboxes: int = 100
    first: int = 0
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw. Seconds; started is on time.monotonic's scale; latencies are sorted."""

    started: float
    accepted_seconds: float
    latencies: list[float]
    cpu_seconds: float

    def quantile(self, share: float) -> float:
        """The latency in seconds that `share` of the messages did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class Link:
    """One connection: a non-blocking socket, plain or TLS, and the replies not read yet."""

    __slots__ = ("_buffer", "sock", "wanted", "watched")

    def __init__(self, port: int) -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.wanted = 0  # events to wait for
        self.watched = 0  # events the epoll set has for this descriptor, 0 when it is not in the set
        self._buffer = b""

    def until(self, events: int) -> Link:
        """What a step yields in order to go on after one of `events`."""
        self.wanted = events
        return self

    def handshake(self, context: ssl.SSLContext) -> Steps:
        """STARTTLS was answered 220: become TLS on the same descriptor."""
        secure = context.wrap_socket(self.sock, do_handshake_on_connect=False)
        self.sock = secure
        while True:
            try:
                secure.do_handshake()
                return
            except ssl.SSLWantReadError:
                yield self.until(IN)
            except ssl.SSLWantWriteError:
                yield self.until(OUT)

    def send(self, octets: bytes) -> Steps:
        """Send everything."""
        view = memoryview(octets)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except ssl.SSLWantReadError:
                yield self.until(IN)
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield self.until(OUT)

    def expect(self, codes: bytes, count: int = 1) -> Steps:
        """Read `count` replies whose first digits are `codes`."""
        while count:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                yield self.until(IN)
                try:
                    octets = self.sock.recv(65536)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                if not octets:
                    raise LoadError("connection closed by the server")
                self._buffer += octets
                continue
            line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
            if not line.startswith(codes):
                raise LoadError(line.decode("ascii", "replace"))
            if line[3:4] != b"-":
                count -= 1

    def ask(self, command: bytes, codes: bytes) -> Steps:
        """One command, one reply."""
        yield from self.send(command)
        yield from self.expect(codes)


class Worker:
    """One process's share of a plan: its connections, its message numbers, its latencies."""

    def __init__(self, plan: Plan, connections: int, numbers: range) -> None:
        self.plan = plan
        self.connections = connections
        self.numbers = iter(numbers)
        self.latencies: list[float] = []
        lines = (plan.size - len(HEADER) - len(message_id(0))) // len(LINE)
        self.text = plan.text or HEADER + LINE * lines + b".\r\n"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def run(self) -> None:
        """Drive every connection until the numbers are used up."""
        epoll = select.epoll()
        waiting: dict[int, Steps] = {}
        for _ in range(self.connections):
            _resume(epoll, waiting, self._client())
        while waiting:
            ready = epoll.poll(WAIT_SECONDS)
            if not ready:
                raise LoadError(f"{len(waiting)} connections had no answer for {WAIT_SECONDS} s")
            for descriptor, _ in ready:
                _resume(epoll, waiting, waiting.pop(descriptor))

    def _client(self) -> Steps:
        """One connection's life; with a new connection per message, many of them one after the other."""
        link: Link | None = None
        for number in self.numbers:
            started = time.monotonic()
            if link is None:
                link = Link(self.plan.port)
                yield from self._open(link)
                if not self.plan.fresh:
                    started = time.monotonic()
            yield from self._message(link, number)
            self.latencies.append(time.monotonic() - started)
            if self.plan.fresh:
                yield from link.ask(b"QUIT\r\n", b"221")
                link.sock.close()
                link = None
        if link is not None:
            yield from link.ask(b"QUIT\r\n", b"221")
            link.sock.close()

    def _open(self, link: Link) -> Steps:
        yield from link.expect(b"220")
        yield from link.ask(b"EHLO bench.client.test\r\n", b"250")
        if self.plan.starttls:
            yield from link.ask(b"STARTTLS\r\n", b"220")
            yield from link.handshake(self.context)
            yield from link.ask(b"EHLO bench.client.test\r\n", b"250")

    def _message(self, link: Link, number: int) -> Steps:
        plan = self.plan
        mail = b"MAIL FROM:<bench@sender.test>\r\n"
        rcpts = [
            b"RCPT TO:<u%d@%s>\r\n" % ((number * plan.recipients + index) % plan.mailboxes, plan.domain.encode())
            for index in range(plan.recipients)
        ]
        if plan.pipelining:
            yield from link.send(mail + b"".join(rcpts) + b"DATA\r\n")
            yield from link.expect(b"250", 1 + len(rcpts))
            yield from link.expect(b"354")
        else:
            yield from link.ask(mail, b"250")
            for rcpt in rcpts:
                yield from link.ask(rcpt, b"250")
            yield from link.ask(b"DATA\r\n", b"354")
        yield from link.ask(message_id(plan.first + number) + self.text, b"250")


def message_id(number: int) -> bytes:
    """The first line of message `number`."""
    return b"Message-ID: <%08d@bench>\r\n" % number


def _resume(epoll: select.epoll, waiting: dict[int, Steps], steps: Steps) -> None:
    link = next(steps, None)
    if link is None:
        return
    descriptor = link.sock.fileno()
    if not link.watched:
        epoll.register(descriptor, link.wanted)
    elif link.watched != link.wanted:
        epoll.modify(descriptor, link.wanted)
    link.watched = link.wanted
    waiting[descriptor] = steps


def run(plan: Plan, processes: int = 2) -> Load:
    """Send the plan's messages from up to `processes` forked processes and add up what they saw."""
    count = min(processes, plan.connections)
    go_read, go_write = os.pipe()
    pipes = []
    done = 0
    for index in range(count):
        share = plan.messages * (index + 1) // count - done
        connections = plan.connections * (index + 1) // count - plan.connections * index // count
        pipes.append(_fork(Worker(plan, connections, range(done, done + share)), go_read, go_write))
        done += share
    os.close(go_read)
    started = time.monotonic()
    os.close(go_write)
    results = [_collect(pid, pipe) for pid, pipe in pipes]
    latencies = sorted(value for _, _, values in results for value in values)
    return Load(started, max(end for end, _, _ in results) - started, latencies, sum(cpu for _, cpu, _ in results))


def _fork(worker: Worker, go_read: int, go_write: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    result: object
    try:
        os.close(go_write)
        os.read(go_read, 1)  # end of file is the starting gun for all processes at once
        before = time.process_time()
        worker.run()
        result = (time.monotonic(), time.process_time() - before, worker.latencies)
    except (LoadError, OSError) as error:
        result = f"{type(error).__name__}: {error}"
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(result, pipe)
    os._exit(0)


def _collect(pid: int, reading: int) -> tuple[float, float, list[float]]:
    with os.fdopen(reading, "rb") as pipe:
        octets = pipe.read()
    os.waitpid(pid, 0)
    result = pickle.loads(octets) if octets else "the generator process died"
    if isinstance(result, str):
        raise LoadError(result)
    end, cpu, latencies = result
    return end, cpu, latencies


def hold(port: int, count: int) -> list[socket.socket]:
    """Open `count` connections that have said EHLO and now wait, as idle clients do. The caller closes them."""
    held = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        held.append(connection)
        _read_reply(connection, b"220")
        connection.sendall(b"EHLO idle.client.test\r\n")
        _read_reply(connection, b"250")
    return held


def _read_reply(connection: socket.socket, code: bytes) -> None:
    octets = b""
    while not octets.endswith(b"\r\n") or octets[:-2].rpartition(b"\r\n")[2][3:4] == b"-":
        chunk = connection.recv(4096)
        if not chunk:
            break
        octets += chunk
    if not octets.startswith(code):
        raise LoadError(octets.decode("ascii", "replace").strip() or "connection closed by the server")
