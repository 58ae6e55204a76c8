"""What the runner knows of next hops, for others to read: run/hops, one JSON object on each line, never synced.

The runner writes it at most once a second, mailq reads it. It says how things were then, and is gone with the machine.

Diagnostics: `write_hops` raises StorageError; what cannot be read is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.spool.layout import Layout
from mailsrv.system.disk import Disk, Missing
from mailsrv.text.record import Records, read_json, write_json

HOPS = "run/hops"
_LIMIT = 64 << 20
_RECORDS = Records()


@dataclass(frozen=True, slots=True)
class HopState:
    """One next hop, as it is shown (`str` of a NextHop). `failures` in a row; `not_before`: seconds since the epoch, 0
    when it may be tried; `error`: the last one; `waiting` jobs; `threads` that serve it."""

    hop: str
    failures: int = 0
    not_before: float = 0.0
    error: str = ""
    waiting: int = 0
    threads: int = 0


def write_hops(disk: Disk, layout: Layout, states: Iterable[HopState]) -> None:
    """Replace the file."""
    octets = b"".join(write_json(_RECORDS.dump(state)) + b"\n" for state in states)
    disk.replace(f"{layout.data_dir}/{HOPS}", octets)


def read_hops(disk: Disk, layout: Layout) -> dict[str, HopState]:
    """Each next hop by its name; none when no runner has run."""
    try:
        octets = disk.read(f"{layout.data_dir}/{HOPS}", _LIMIT)
    except Missing:
        return {}
    states = {}
    for line in octets.splitlines():
        try:
            state = _RECORDS.load(HopState, read_json(line))
        except GrammarError:
            continue
        states[state.hop] = state
    return states
