"""Benchmark of IMAP: mailsrv against Dovecot 2.3 on Maildir, interleaved in one run; a command, not a test.

    tests/bench/imap.py [--sizes 1000 10000 100000] [--rounds 3] [--only WORD ...] [--json FILE]

For each size both servers get the same messages in new/ and are started in turn, `rounds` times each; the report has
medians, and how often faster mailsrv is beside what is wanted. What is measured, in this order:

    first look    SELECT of a mailbox that nobody has ever looked into
    rest          how long it computes afterwards until it comes to rest, in the background (Dovecot: when asked)
    metadata 1    FETCH of UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE for the first time, then
    all others    as their names say, repeated, on a mailbox that the server knows

"search text" looks for a phrase that few messages have, "search common" for one that all have. "index %" is what
the server keeps beside the messages, in hundredths of them, at the end; "text index %" what is for searches alone.
Memory is the server's PSS with many idle sessions over that with none. Run it as root on an otherwise quiet machine.

Diagnostics: a failed run is reported, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import place
from imap_client import Client, deliver, open_selected
from imap_servers import Dovecot, ImapServer, MailsrvImap
from imap_store import make_message
from load import LoadError
from server import ServerError

OCTETS = 3072
IDLE_SESSIONS = 1000
METADATA = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
SOME = 1000  # messages that are copied, moved, expunged
SERVERS: dict[str, type[ImapServer]] = {"dovecot": Dovecot, "mailsrv": MailsrvImap}

# Name -> (unit, ratio wanted); ms, s, KiB and %: less is better, everything else: more is better.
WANTED = {
    "first look": ("ms", 0),
    "rest": ("s", 0),
    "metadata 1": ("ms", 10),
    "login": ("ms", 4),
    "select cold": ("ms", 5),
    "select warm": ("ms", 1),
    "uid flags": ("ms", 1),
    "metadata": ("ms", 3),
    "bodies": ("MB/s", 1.2),
    "bodies tls": ("MB/s", 1),
    "search subject": ("ms", 4),
    "search text": ("ms", 10),
    "search common": ("ms", 0),
    "store one": ("ms", 20),
    "store all": ("ms", 4),
    "store silent": ("ms", 10),
    "append": ("/s", 2),
    "copy": ("/s", 1),
    "move": ("/s", 1),
    "expunge": ("/s", 1),
    "index %": ("%", 0),
    "text index %": ("%", 0),
    "idle p50": ("ms", 0),
    "idle p99": ("ms", 0),
    "idle KiB": ("KiB", 0),
    "idle tls KiB": ("KiB", 0),
}
Figures = dict[str, float]


def fill(server: ImapServer, count: int) -> None:
    """Lay messages into new/, as deliveries that nobody has seen."""
    directory = server.maildir()
    for leaf in ("tmp", "new", "cur"):
        (directory / leaf).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        message = make_message(number, OCTETS)
        (directory / "new" / f"{1_760_000_000 + number}.M{number}.bench,S={len(message)}").write_bytes(message)
    server.adopt(directory)


def rest(server: ImapServer) -> None:
    """Wait until the server does nothing any more, five minutes at most: what mailsrv leaves for later it has done by
    then (ready rows, the text index, flags in the names of files)."""
    quiet = 0
    for _ in range(3000):
        before = server.group.cpu_seconds()
        time.sleep(0.1)
        quiet = quiet + 1 if server.group.cpu_seconds() - before < 0.005 else 0
        if quiet == 10:
            return


def measure_index(server: ImapServer, found: Figures) -> None:
    """How large the files of a server that has stopped are, in hundredths of the messages, copies counted once."""
    sizes = {}
    for path in server.maildir().rglob("*"):
        if path.parent.name in ("cur", "new"):
            status = path.stat()
            sizes[status.st_ino] = status.st_size
    for name, patterns in (("index %", ("*.sqlite3", "dovecot*")), ("text index %", ("search.sqlite3",))):
        files = [path for pattern in patterns for path in server.maildir().rglob(pattern)]
        if size := sum(map(used, files)):
            found[name] = 100 * size / sum(sizes.values())


def used(path: Path) -> int:
    """The octets of a file; of a database, those that it has without its log."""
    if path.suffix != ".sqlite3":
        return path.stat().st_size
    with contextlib.closing(sqlite3.connect(path)) as connection:
        pages, size = (connection.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size"))
        return int(pages * size)


def several(count: int, measure: Callable[[], float]) -> float:
    """The median of some measurements, in ms."""
    return median(measure() for _ in range(count)) * 1000


def log_in(server: ImapServer) -> float:
    """A new connection until the OK to LOGIN."""
    began = time.perf_counter()
    client = Client(server.port)
    client.login()
    seconds = time.perf_counter() - began
    client.close()
    return seconds


def measure_reading(server: ImapServer, found: Figures) -> None:
    """What changes nothing."""
    found["login"] = several(20, lambda: log_in(server))
    client = open_selected(server)
    found["select warm"] = several(20, lambda: client.ask("SELECT INBOX"))
    found["uid flags"] = several(3, lambda: client.ask("UID FETCH 1:* (FLAGS)"))
    found["metadata"] = several(3, lambda: client.ask(METADATA))
    for name, tls in (("bodies", False), ("bodies tls", True)):
        reader = open_selected(server, tls)
        reader.ask("FETCH 1:* (BODY.PEEK[])")  # into the page cache
        seconds = reader.ask("FETCH 1:* (BODY.PEEK[])")
        found[name] = reader.octets / seconds / 1e6
        reader.close()
    found["search subject"] = several(3, lambda: client.ask('SEARCH SUBJECT "number 77"'))
    found["search text"] = several(3, lambda: client.ask('SEARCH TEXT "number 77"'))
    found["search common"] = several(3, lambda: client.ask('SEARCH TEXT "weather in Jan"'))
    client.close()


def measure_writing(server: ImapServer, found: Figures, count: int) -> None:
    """What changes flags and mailboxes."""
    client = open_selected(server)
    middle = count // 2
    steps = iter(range(100))
    found["store one"] = several(
        20, lambda: client.ask(f"STORE {middle + next(steps)} +FLAGS (\\Flagged)")
    )
    found["store all"] = client.ask("STORE 1:* +FLAGS (\\Answered)") * 1000
    found["store silent"] = client.ask("STORE 1:* +FLAGS.SILENT (\\Seen)") * 1000
    client.ask("CREATE Other")
    client.ask("CREATE Third")
    found["copy"] = SOME / client.ask(f"COPY 1:{SOME} Other")
    found["move"] = SOME / client.ask(f"MOVE 1:{SOME} Third")
    other = open_selected(server, mailbox="Other")
    other.ask("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    found["expunge"] = SOME / other.ask("EXPUNGE")
    other.close()
    message = make_message(1, OCTETS)
    began = time.perf_counter()
    for _ in range(300):
        client.append("Third", message)
    found["append"] = 300 / (time.perf_counter() - began)
    client.close()


def measure_idle(server: ImapServer, found: Figures) -> None:
    """From the 250 of a delivery to EXISTS; then what many idle sessions hold."""
    client = open_selected(server)
    waits = []
    for _ in range(30):
        client.idle()
        moment = deliver(server, make_message(2, OCTETS))
        client.wait_for(b" EXISTS")
        waits.append((time.perf_counter() - moment) * 1000)
        client.done()
    waits.sort()
    found["idle p50"], found["idle p99"] = max(waits[15], 0.0), waits[-1]
    client.close()


def measure_memory(server: ImapServer, found: Figures, sessions: int) -> None:
    """KiB of PSS for each session in IDLE."""
    for name, tls, many in (("idle KiB", False, sessions), ("idle tls KiB", True, sessions // 2)):
        before = server.group.pss_bytes()
        held = [open_selected(server, tls) for _ in range(many)]
        for client in held:
            client.idle()
        found[name] = (server.group.pss_bytes() - before) / many / 1024
        for client in held:
            client.close()
        rest(server)


def run(server: ImapServer, count: int, has_memory: bool) -> Figures:
    """One round of one server."""
    found: Figures = {}
    if not server.lmtp:  # it makes data_dir itself
        server.start()
        server.stop()
        server = type(server)(server.root)
    fill(server, count)
    server.start()
    try:
        client = Client(server.port)
        client.login()
        found["first look"] = client.ask("SELECT INBOX") * 1000
        began = time.perf_counter()
        rest(server)
        found["rest"] = time.perf_counter() - began - 1
        found["metadata 1"] = client.ask(METADATA) * 1000
        client.close()
        rest(server)
        measure_reading(server, found)
        measure_writing(server, found, count)
        rest(server)
        measure_idle(server, found)
        if has_memory:
            measure_memory(server, found, IDLE_SESSIONS)
    finally:
        server.stop()
    measure_index(server, found)
    # A server that begins anew, on a mailbox whose index it has (mailsrv) or has lost (Dovecot, as the peers' table).
    if server.lmtp:
        server.drop_index()
    again = type(server)(server.root)  # with ports and a group of its own
    again.start()
    try:
        client = Client(again.port)
        client.login()
        found["select cold"] = client.ask("SELECT INBOX") * 1000
        client.close()
    finally:
        again.stop()
    return found


def report(size: int, seen: dict[str, list[Figures]]) -> str:
    """One table."""
    lines = [f"{f'{size} messages':18}{'':6}{'dovecot':>12}{'mailsrv':>12}{'ratio':>9}{'wanted':>8}"]
    for name, (unit, wanted) in WANTED.items():
        values = {server: [run[name] for run in runs if name in run] for server, runs in seen.items()}
        if not any(values.values()):
            continue
        middle = {server: median(found) if found else 0.0 for server, found in values.items()}
        theirs, ours = middle.get("dovecot", 0.0), middle.get("mailsrv", 0.0)
        less_is_better = unit in ("ms", "s", "KiB", "%")
        ratio = (theirs / ours if less_is_better else ours / theirs) if theirs and ours else 0.0
        goal = f"{wanted:g}" if wanted else ""
        lines.append(f"{name:18}{unit:6}{theirs:12,.2f}{ours:12,.2f}{ratio:9.2f}{goal:>8}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print; 1 if a run failed."""
    parser = argparse.ArgumentParser(description="IMAP: mailsrv against Dovecot, interleaved")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    parser.add_argument("--no-memory", action="store_true", help="leave the idle sessions out")
    parser.add_argument("--keep", action="store_true", help="leave the servers' directories and logs there")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    base = Path(tempfile.mkdtemp(prefix="mailsrv-bench-"))
    base.chmod(0o755)
    place.spread(base)
    failures = []
    everything = {}
    for size in options.sizes:
        seen: dict[str, list[Figures]] = {name: [] for name in options.servers}
        for number in range(options.rounds):
            for name in options.servers:
                print(f"\r\033[K{size} {name} {number + 1}", end="", file=sys.stderr, flush=True)
                server = SERVERS[name](place.make_directory(base, f"{size}-{number}-{name}"))
                try:
                    seen[name].append(run(server, size, number == 0 and not options.no_memory))
                except (LoadError, ServerError, OSError) as error:
                    failures.append(f"{size} {name}: {error}\n{server.log_end()}")
        print("\r\033[K", end="", file=sys.stderr)
        print(report(size, seen), flush=True)
        everything[size] = seen
    for failure in failures:
        print(f"FAILED {failure}")
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))
    if options.keep:
        print(f"left in {base}")
    else:
        shutil.rmtree(base)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
