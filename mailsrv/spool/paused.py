"""Next hops that the operator has paused: spool/paused, one on each line: domain, since when (RFC 3339), why.

The file is replaced durably at each change and read again when it has changed. A paused domain's recipients wait, and
nothing else is done about them. The file may be edited; what cannot be read as a line pauses its first word.

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

    domain: str
    since: str
    reason: str


class Paused:
    """The paused domains of one data_dir, for all threads of a process."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._layout = layout
        self._path = f"{layout.data_dir}/{PAUSED}"
        self._read: tuple[Stamp | None, dict[str, Pause]] = (None, {})

    def is_paused(self, domain: str) -> bool:
        """Whether mail for a domain (as written anywhere, or as a next hop is shown) waits; one look at the file."""
        return self.find(domain) is not None

    def find(self, domain: str) -> Pause | None:
        """The pause of a domain, if it is paused."""
        return self.all().get(domain_key(domain))

    def all(self) -> dict[str, Pause]:
        """Every pause by its domain."""
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

    def add(self, domain: str, now: float, reason: str = "") -> bool:
        """Pause a domain, durably; False when it is paused already. Wake the runner afterwards."""
        return self._change(domain, Pause(domain_key(domain), _write_time(now), " ".join(reason.split())))

    def remove(self, domain: str) -> bool:
        """Take a pause back, durably; False when there is none. Wake the runner afterwards."""
        return self._change(domain, None)

    def _change(self, domain: str, pause: Pause | None) -> bool:
        key = domain_key(domain)
        with self._disk.lock(self._layout.lock):
            pauses = dict(self.all())
            if (key in pauses) == (pause is not None):
                return False
            if pause is None:
                del pauses[key]
            else:
                pauses[key] = pause
            lines = [f"{one.domain} {one.since} {one.reason}".rstrip() for one in pauses.values()]
            self._disk.replace(self._path, "".join(f"{line}\n" for line in lines).encode())
        return True


def _parse(octets: bytes) -> dict[str, Pause]:
    pauses = {}
    for line in octets.decode("utf-8", "replace").splitlines():
        domain, since, reason = (*line.split(maxsplit=2), "", "", "")[:3]
        if domain and not domain.startswith("#"):
            pauses[domain_key(domain)] = Pause(domain_key(domain), since, reason)
    return pauses


def _write_time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
