"""Next hops that the operator has paused: spool/paused, one on each line: next hop, since when (RFC 3339), why.

A next hop is named as everywhere (`str` of deliver/route.NextHop): a domain with MX hosts by itself, others as in the
configuration. The file is replaced durably at each change and read again when it has changed; it may be edited. What
goes to a paused next hop waits, and nothing else is done about it.

Diagnostics: StorageError when the disk refuses.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from mailsrv.mail.address import domain_key
from mailsrv.spool.layout import Layout
from mailsrv.system.disk import Disk, Missing, Stamp

PAUSED = "spool/paused"
_LIMIT = 8 << 20


@dataclass(frozen=True, slots=True)
class Pause:
    """One line. `since` as it is written, `reason` without line ends."""

    hop: str
    since: str
    reason: str


class Paused:
    """The paused next hops of one data_dir, for all threads of a process."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._layout = layout
        self._path = f"{layout.data_dir}/{PAUSED}"
        self._read: tuple[Stamp | None, dict[str, Pause]] = (None, {})

    def is_paused(self, hop: str) -> bool:
        """Whether mail for a next hop waits; costs one look at the file's time."""
        return self.find(hop) is not None

    def find(self, hop: str) -> Pause | None:
        """The pause of a next hop, if it is paused."""
        return self.all().get(domain_key(hop))

    def all(self) -> dict[str, Pause]:
        """Every pause by its next hop."""
        stamp = self._disk.stamp(self._path)
        known, pauses = self._read
        if stamp is None:
            return {}
        if stamp != known:
            try:
                pauses = _parse(self._disk.read(self._path, _LIMIT))
            except Missing:
                return {}
            self._read = (stamp, pauses)  # one assignment: threads see a matching pair
        return pauses

    def add(self, hop: str, now: float, reason: str = "") -> bool:
        """Pause a next hop, durably; False when it is paused already. Wake the runner afterwards."""
        return self._change(hop, Pause(domain_key(hop), _write_time(now), " ".join(reason.split())))

    def remove(self, hop: str) -> bool:
        """Take a pause back, durably; False when there is none. Wake the runner afterwards."""
        return self._change(hop, None)

    def _change(self, hop: str, pause: Pause | None) -> bool:
        key = domain_key(hop)
        with self._disk.lock(self._layout.lock):
            pauses = dict(self.all())
            if (key in pauses) == (pause is not None):
                return False
            if pause is None:
                del pauses[key]
            else:
                pauses[key] = pause
            lines = [f"{one.hop} {one.since} {one.reason}".rstrip() for one in pauses.values()]
            self._disk.replace(self._path, "".join(f"{line}\n" for line in lines).encode())
        return True


def _parse(octets: bytes) -> dict[str, Pause]:
    pauses = {}
    for line in octets.decode("utf-8", "replace").splitlines():
        hop, since, reason = (*line.split(maxsplit=2), "", "", "")[:3]
        if hop and not hop.startswith("#"):
            pauses[domain_key(hop)] = Pause(domain_key(hop), since, reason)
    return pauses


def _write_time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
