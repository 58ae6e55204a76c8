"""What is measured: the cases of the benchmark with the ratios wanted, and how one case is run against one server.

Every run has a fresh server in a fresh directory and 100 messages to warm it up, one for every mailbox. Rates count
messages (with several recipients: deliveries) that were answered 250 *and* lie in the Maildirs. Nothing is asserted.

Diagnostics: load.LoadError and server.ServerError pass through; a run that loses or doubles a message is a ServerError.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import load
import measure
from server import Server

WARM_UP = 100  # every mailbox exists: what is measured is the steady state
TRACED = 200


@dataclass(frozen=True, slots=True)
class Case:
    """One row: what is sent, and the mailsrv/peer ratio of end-to-end rates that is wanted."""

    name: str
    wanted: float
    connections: int
    messages: int
    size: int = 4096
    recipients: int = 1
    fresh: bool = False
    starttls: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One run. Rates per second, latencies in ms, CPU in seconds per 1000 messages, device flushes per message."""

    delivered_rate: float
    accepted_rate: float
    p50: float
    p99: float
    cpu: float
    load_cpu: float
    flushes: float


@dataclass(frozen=True, slots=True)
class Memory:
    """PSS in MiB of the whole tree: idle, and with `held` idle connections."""

    idle: float
    full: float
    held: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Per message, over one connection at a time each: syncs, all system calls, and the most frequent ones."""

    syncs: float
    total: float
    frequent: tuple[tuple[str, float], ...]


CASES = (
    Case("c1", 1.6, 1, 600),
    Case("c10", 2.5, 10, 2000),
    Case("c50", 3.0, 50, 2000),
    Case("c10-new", 1.8, 10, 2000, fresh=True),
    Case("c10-starttls", 1.5, 10, 1000, fresh=True, starttls=True),
    Case("c10-100k", 2.2, 10, 500, size=102400),
    Case("c10-10rcpt", 5.0, 10, 500, recipients=10),
)


def run_case(server: Server, case: Case, messages: int, pipelining: bool) -> Result:
    """Start, warm up, send, wait until everything lies in the Maildirs, stop."""
    server.start()
    try:
        plan = load.Plan(
            server.port, min(case.connections, 10), WARM_UP, case.size, case.recipients, case.fresh, case.starttls
        )
        load.run(plan)
        warm = WARM_UP * case.recipients
        server.wait_delivered(warm)
        os.sync()  # what others, and the warm-up, left dirty is not this run's
        plan = load.Plan(
            server.port, case.connections, messages, case.size, case.recipients, case.fresh, case.starttls,
            pipelining, first=WARM_UP,
        )  # fmt: skip
        cpu, flushes = server.group.cpu_seconds(), measure.device_flushes(server.root)
        seen = load.run(plan)
        end = server.wait_delivered(warm + messages * case.recipients)
        cpu, flushes = server.group.cpu_seconds() - cpu, measure.device_flushes(server.root) - flushes
    finally:
        server.stop()
    return Result(
        delivered_rate=messages * case.recipients / (end - seen.started),
        accepted_rate=messages * case.recipients / seen.accepted_seconds,
        p50=seen.quantile(0.5) * 1000,
        p99=seen.quantile(0.99) * 1000,
        cpu=cpu / messages * 1000,
        load_cpu=seen.cpu_seconds / messages * 1000,
        flushes=flushes / messages,
    )


def run_memory(server: Server, connections: int) -> Memory:
    """PSS after the warm-up, and with idle connections that have said EHLO."""
    server.start()
    try:
        load.run(load.Plan(server.port, 10, WARM_UP))
        server.wait_delivered(WARM_UP)
        idle = server.group.pss_bytes()
        held = load.hold(server.port, connections)
        full = server.group.pss_bytes()
        for connection in held:
            connection.close()
    finally:
        server.stop()
    return Memory(idle / 2**20, full / 2**20, connections)


def run_traced(server: Server, recipients: int = 1) -> Calls:
    """Count system calls per message under strace (four kept connections, as the peers' table was made)."""
    trace: Path = server.root / "trace"
    server.start(measure.strace_command(trace))
    try:
        load.run(load.Plan(server.port, 4, WARM_UP, recipients=recipients))
        server.wait_delivered(WARM_UP * recipients)
        offset = trace.stat().st_size
        load.run(load.Plan(server.port, 4, TRACED, recipients=recipients, first=WARM_UP))
        server.wait_delivered((WARM_UP + TRACED) * recipients)
    finally:
        server.stop()
    calls = measure.count_calls(trace, offset)
    frequent = tuple((name, count / TRACED) for name, count in calls.most_common(8))
    return Calls(measure.count_syncs(calls) / TRACED, calls.total() / TRACED, frequent)
