"""Benchmark of SMTP reception: mailsrv against Postfix, interleaved in one run; a command, not a test.

    tests/bench/smtp.py [--rounds 3] [--only CASE ...] [--quick] [--servers postfix mailsrv] [--pipelining]

Every round runs each case once against each server in turn; the report has medians, the ratio mailsrv/Postfix beside
the wanted one, latencies, CPU seconds per 1000 messages, syncs per message and memory. All directories are fresh, and
are removed only when everything is measured: a file system that has just freed many inodes is slow at creating new
ones. Run it as root (Postfix needs that, and mailsrv then drops to its service user) on an otherwise quiet machine.

Diagnostics: a failed run is reported, leaves its case without that round, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

import mailsrv_server
import measure
import place
import postfix
import probe
from cases import CASES, Calls, Case, Memory, Result, run_case, run_memory, run_traced
from load import LoadError
from server import Server, ServerError

SERVERS: dict[str, type[Server]] = {"postfix": postfix.Postfix, "mailsrv": mailsrv_server.Mailsrv, "probe": probe.Probe}
EXTRA = ("memory", "calls")
IDLE_CONNECTIONS = 1000
WANTED_P99_C50 = 150.0
WANTED_CPU = 1.0
WANTED_IDLE_MIB = 64.0
WANTED_SYNCS = 2.0


class Bench:
    """All runs of one invocation, and what came out."""

    def __init__(self, base: Path, servers: list[str], pipelining: bool) -> None:
        self._base = base
        self._pipelining = pipelining
        self._started = 0
        self.servers = servers
        self.results: dict[tuple[str, str], list[Result]] = {}
        self.memory: dict[str, Memory] = {}
        self.calls: dict[str, Calls] = {}
        self.failures: list[str] = []

    def measure_case(self, case: Case, messages: int) -> None:
        """One round of one case: every server in turn."""
        for name in self.servers:
            result = self._try(name, case.name, lambda server: run_case(server, case, messages, self._pipelining))
            if isinstance(result, Result):
                self.results.setdefault((case.name, name), []).append(result)

    def measure_memory(self, connections: int) -> None:
        """Memory with and without idle connections, once."""
        for name in self.servers:
            result = self._try(name, "memory", lambda server: run_memory(server, connections))
            if isinstance(result, Memory):
                self.memory[name] = result

    def measure_calls(self) -> None:
        """System calls and syncs under strace, once."""
        for name in self.servers:
            result = self._try(name, "calls", run_traced)
            if isinstance(result, Calls):
                self.calls[name] = result

    def _try(self, name: str, what: str, run: object) -> object:
        self._started += 1
        print(f"\r\033[K{what} {name}", end="", file=sys.stderr, flush=True)
        try:
            server = SERVERS[name](place.make_directory(self._base, f"{self._started:03d}-{name}-{what}"))
            return run(server)  # type: ignore[operator]
        except (LoadError, ServerError, OSError) as error:
            self.failures.append(f"{what} {name}: {error}")
            return None

    def middle(self, case: str, server: str, field: str) -> float | None:
        """The median of one figure over the rounds."""
        runs = self.results.get((case, server))
        return median(getattr(run, field) for run in runs) if runs else None


def report(bench: Bench) -> str:
    """The tables as text."""
    lines = [_rates(bench), "", _costs(bench)]
    for name, memory in bench.memory.items():
        grown = memory.full - memory.idle
        wanted = f" (wanted: at most {WANTED_IDLE_MIB:.0f})" if name == "mailsrv" else ""
        text = f"PSS {memory.idle:.1f} MiB idle, {memory.full:.1f} MiB with {memory.held} idle connections"
        lines.append(f"{name:8} {text}: +{grown:.1f} MiB{wanted}")
    for name, calls in bench.calls.items():
        wanted = f" (wanted: {WANTED_SYNCS:.0f})" if name == "mailsrv" else ""
        frequent = ", ".join(f"{call} {count:.1f}" for call, count in calls.frequent)
        lines.append(
            f"{name:8} {calls.syncs:.2f} syncs per message{wanted}, {calls.total:.0f} system calls: {frequent}"
        )
    return "\n".join(lines + [f"FAILED {failure}" for failure in bench.failures])


def _rates(bench: Bench) -> str:
    lines = [
        f"{'end to end, per second':24}"
        + "".join(f"{name:>22}" for name in bench.servers)
        + f"{'ratio':>8}{'wanted':>8}"
    ]
    for case in CASES:
        row, shown = f"{case.name:24}", False
        for name in bench.servers:
            rates = sorted(run.delivered_rate for run in bench.results.get((case.name, name), []))
            text = f"{median(rates):,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f})" if rates else "-"
            shown = shown or bool(rates)
            row += f"{text:>22}"
        ours, theirs = (bench.middle(case.name, name, "delivered_rate") for name in ("mailsrv", "postfix"))
        ratio = f"{ours / theirs:.2f}" if ours and theirs else "-"
        if shown:
            lines.append(f"{row}{ratio:>8}{case.wanted:>8}")
    return "\n".join(lines)


def _costs(bench: Bench) -> str:
    head = f"{'':24}{'p50 ms':>9}{'p99 ms':>9}{'CPU s/1000':>12}{'load CPU':>10}{'flushes/msg':>13}{'accepted/s':>12}"
    lines = [head]
    for (case, name), _ in sorted(
        bench.results.items(), key=lambda item: [row.name for row in CASES].index(item[0][0])
    ):
        fields = ("p50", "p99", "cpu", "load_cpu", "flushes", "accepted_rate")
        values = [bench.middle(case, name, field) or 0.0 for field in fields]
        cells = [
            f"{value:>{width}.{digits}f}"
            for value, width, digits in zip(values, (9, 9, 12, 10, 13, 12), (1, 1, 2, 2, 2, 0), strict=True)
        ]
        note = f"  wanted p99 < {WANTED_P99_C50:.0f}" if (case, name) == ("c50", "mailsrv") else ""
        note = f"  wanted CPU <= {WANTED_CPU:.1f}" if (case, name) == ("c10", "mailsrv") else note
        lines.append(f"{case + ' ' + name:24}" + "".join(cells) + note)
    return "\n".join(lines)


def as_json(bench: Bench) -> str:
    """Every single run, for later comparison."""
    runs = {f"{case} {name}": [asdict(run) for run in rows] for (case, name), rows in bench.results.items()}
    extra = {name: asdict(value) for name, value in bench.memory.items()}
    calls = {name: asdict(value) for name, value in bench.calls.items()}
    return json.dumps({"runs": runs, "memory": extra, "calls": calls, "failures": bench.failures}, indent=1)


def main(arguments: list[str] | None = None) -> int:
    """Parse, measure, print; 1 if any run failed."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description="SMTP reception: mailsrv against Postfix, interleaved")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[*names, *EXTRA], default=[*names, *EXTRA], metavar="CASE")
    parser.add_argument("--quick", action="store_true", help="one round, a quarter of the messages")
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=["postfix", "mailsrv"])
    parser.add_argument("--pipelining", action="store_true", help="send MAIL, RCPT and DATA in one write")
    parser.add_argument(
        "--weight", type=int, metavar="N", help="take N times the usual share of a busy machine's cores"
    )
    parser.add_argument("--directory", type=Path, help="where the servers' directories are made (default: TMPDIR)")
    parser.add_argument("--keep", action="store_true", help="leave the servers' directories and logs there")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    base = Path(tempfile.mkdtemp(prefix="mailsrv-bench-", dir=options.directory))
    base.chmod(0o755)
    place.spread(base)
    bench = Bench(base, options.servers, options.pipelining)
    weight = measure.Weight(options.weight) if options.weight else None
    try:
        for _ in range(1 if options.quick else options.rounds):
            for case in CASES:
                if case.name in options.only:
                    bench.measure_case(case, max(case.messages // 4, 50) if options.quick else case.messages)
        if "memory" in options.only:
            bench.measure_memory(IDLE_CONNECTIONS)
        if "calls" in options.only:
            bench.measure_calls()
    finally:
        if weight:
            weight.close()
        print("\r\033[K", end="", file=sys.stderr)
        print(report(bench))
        if options.json:
            options.json.write_text(as_json(bench))
        if options.keep:
            print(f"left in {base}")
        else:
            shutil.rmtree(base)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
