"""The house of a rehearsal: the services of a session, of which none changes anything.

Directory and content filter are those of the server; bans, quotas and known senders are read where they lie and stay
as they are; delivery keeps what it is given. What a user who may not read data_dir cannot see is said in the notes, and
taken as it would be for a stranger: not banned, not known, with room in every account.

Diagnostics: raises nothing but what the configuration causes (GrammarError of a nameserver).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailsrv.errors import StorageError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.dns_values import Resolver
from mailsrv.system.log import Log
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.authn.evaluate import Watched
from mailsrv.config.schema import Config
from mailsrv.directory.accounts import Directory
from mailsrv.receive.filter_kinds import make_filter
from mailsrv.receive.house import House
from mailsrv.serve.bans import Bans
from mailsrv.serve.house import make_lookups
from mailsrv.serve.premises import BANS, BANS_LOCK
from mailsrv.store.account import Store
from mailsrv.store.quota import Quota
from mailsrv.store.senders import FILE, Senders
from mailsrv.cli.rehearsal_lookups import Transcript

_MEMORY = 1 << 40  # octets: nothing goes to a file, the message was read into memory anyway
_UNSEEN = 0.0  # what Senders.seen says of a triplet that is new

# The checks that ask the DNS before there is a message to evaluate.
DNSBL, SENDS_NOTHING = "dnsbl", "sends_nothing"


@dataclass(slots=True)
class Traces:
    """What a rehearsal leaves behind: `kept` messages as (envelope, octets, Return-Path field), decision records, the
    lookups, and notes for people."""

    kept: list[tuple[Envelope, bytes, bytes]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    transcript: Transcript = field(default_factory=Transcript)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)


def build_house(config: Config, traces: Traces, resolver: Resolver, clock: Clock, with_filter: bool = True) -> House:
    """A house that changes nothing, whose traces are kept."""
    disk = _ReadOnlyDisk()
    budget = MemoryBudget(_MEMORY)
    lookups = make_lookups(resolver, config, clock)

    def watch() -> Watched:
        return traces.transcript.watch(lookups())

    directory = Directory.from_config(config)
    return House(
        config=config,
        directory=directory,
        passwords=_NoPasswords(),
        delivery=_Keeping(traces),
        quota=_Rooms(Quota(disk, Store(disk, config.data_dir), clock, directory.most_messages), traces),
        space=_Space(),
        throttle=_Uncounted(),
        bans=_open_bans(config, disk, clock, traces),
        log=_Silence(),
        clock=clock,
        message_id=lambda session, _number: session,
        scratch=lambda: Scratch(disk, config.data_dir, _MEMORY, budget),
        wait=lambda _seconds: None,
        secret=b"",
        tls=False,
        decisions=_Records(traces),
        lookups=watch,
        senders=_KnownSenders(disk, config, clock, traces) if _wants_senders(config) else None,
        filter=make_filter(config.filter, clock, resolver) if with_filter else None,
    )


class _ReadOnlyDisk(Disk):
    """The disk, on which a recount of a quota leaves no file."""

    def replace(self, path: str, octets: bytes, mode: int = 0o600) -> None:
        """Nothing is written."""


class _Silence(Log):
    """A log without lines: what happens here happens to nobody."""

    def __init__(self) -> None:
        """Without a sink."""

    def write(self, event: str, level: str, fields: Mapping[str, object]) -> None:
        """Nothing is written."""


class _NoPasswords:
    """Nobody logs in to send mail from elsewhere."""

    def check(self, _account: Any, _password: str, /) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Committed:
    delivered: tuple[str, ...]
    queued: tuple[Recipient, ...]


class _Keeping:
    """A delivery that keeps what it is given."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def commit(self, envelope: Envelope, octets: Octets, return_path: bytes, /) -> _Committed:
        self._traces.kept.append((envelope, b"".join(octets.blocks()), return_path))
        accounts = tuple(one.account for one in envelope.recipients if one.account)
        return _Committed(accounts, tuple(one for one in envelope.recipients if not one.account))

    def commit_each(self, envelope: Envelope, octets: Octets, return_path: bytes, /) -> dict[str, None]:
        return dict.fromkeys(self.commit(envelope, octets, return_path).delivered)


class _Rooms:
    """The quotas, as far as they can be read."""

    def __init__(self, quota: Quota, traces: Traces) -> None:
        self._quota = quota
        self._traces = traces

    def room(self, account: str, limit: int, size: int, /) -> bool:
        try:
            return self._quota.room(account, limit, size)
        except Missing:  # no mail has come for the account yet
            return size <= limit
        except StorageError as error:
            self._traces.note(f"the quota of {account} cannot be read, room is assumed: {error}")
            return True


class _Space:
    """Whether the disk is full is not what is asked."""

    def has(self, _size: int, /) -> bool:
        return True


class _Uncounted:
    """The first and only session of all."""

    def opened(self, _client: str, /) -> int:
        return 1

    def closed(self, _client: str, /) -> None: ...

    def total(self) -> int:
        return 1

    def login_failed(self, _client: str, /) -> int:
        return 0

    def count(self, _name: str, _number: int = 1, /) -> None: ...

    def enter(self, _id: str, _kind: str, _client: str, /) -> "_Unshown":
        return _Unshown()


class _Unshown:
    def account(self, _name: str, /) -> None: ...

    def leave(self) -> None: ...


class _Records:
    """The decision record."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def write(self, record: dict[str, Any], /) -> None:
        self._traces.records.append(record)


def _open_bans(config: Config, disk: Disk, clock: Clock, traces: Traces) -> Bans:
    path = f"{config.data_dir}/{BANS}"
    try:
        disk.stamp(path)
    except StorageError as error:
        traces.note(f"whether the client is banned cannot be seen: {error}")
    return Bans(path, f"{config.data_dir}/{BANS_LOCK}", disk, clock)


def _wants_senders(config: Config) -> bool:
    """As Senders.from_config has it."""
    return config.greylist.enabled or bool(config.dnsbl.zones)


class _KnownSenders(Senders):
    """Who has written before, as far as the file can be read; a question leaves nothing in it."""

    def __init__(self, disk: Disk, config: Config, clock: Clock, traces: Traces) -> None:
        super().__init__(disk, config.data_dir, config.greylist, clock, _Silence(), read_only=True)
        self._file = f"{config.data_dir}/{FILE}"
        self._door = disk
        self._traces = traces

    def seen(self, network: str, sender: str, recipient: str) -> float:
        """See Senders; what cannot be read was never seen."""
        try:
            return super().seen(network, sender, recipient) if self._is_there() else _UNSEEN
        except StorageError as error:
            return self._tell(error)

    def is_known(self, network: str, domain: str) -> bool:
        """See Senders; what cannot be read is not known."""
        try:
            return self._is_there() and super().is_known(network, domain)
        except StorageError as error:
            return bool(self._tell(error))

    def passed(self, network: str, domain: str) -> None:
        """Nothing is written."""

    def _is_there(self) -> bool:
        """Whether there is a file with something in it: asking for one that is missing would make it."""
        stamp = self._door.stamp(self._file)
        return stamp is not None and stamp.size > 0

    def _tell(self, error: StorageError) -> float:
        self._traces.note(f"who has written before cannot be seen, everybody is a stranger: {error}")
        return _UNSEEN
