"""Reports to senders: which one is due, and making and queueing it exactly once.

`find_due` is a pure function of what the journal holds; it obeys NOTIFY (RFC 3461 section 5.2) and never gives a report
for a report. The Bouncer writes it. So that a report is made once, whatever crashes when (mailsrv-spool(5), state C):
the runner journals the report with its ID, then calls `Bouncer.send` under that ID, then journals `reported`; a report
whose ID is known in the spool was made before the crash. Only the holder of the original's claim may call it. Nothing
is delivered here: a report goes through the queue as any message does, to a local mailbox or another server.

Diagnostics: `Bouncer.send` raises StorageFull or StorageError when the report could not be queued, and what `sign`
raises; it is to be tried again under the same ID. What is wrong with the operator's templates stands in
`Bouncer.complaints`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from mailsrv.deliver.letter import Matter, write_letter
from mailsrv.deliver.templates import load_templates
from mailsrv.errors import AlreadyThere
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Imprint, Kind, Original, build_report, is_returnable
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.mail.header import Header, scan
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import CORRUPT, HOLD, JOURNAL, QUEUE
from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

HEADER_LIMIT = 64 << 10  # octets of the original's header that are returned

_GOOD = frozenset({Status.DELIVERED, Status.RELAYED, Status.EXPANDED})
# The word of NOTIFY that asks for each kind; a sender who gave no NOTIFY gets failures and delays (section 4.1).
_WORDS = {Kind.FAILED: "FAILURE", Kind.DELAYED: "DELAY", Kind.SUCCEEDED: "SUCCESS"}
_DEFAULT = ("FAILURE", "DELAY")


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is due: its kind and the outcomes that it tells, in the order of the envelope's recipients."""

    kind: Kind
    outcomes: tuple[Outcome, ...]

    @property
    def recipients(self) -> tuple[int, ...]:
        """The indices of the recipients that it is about."""
        return tuple(outcome.recipient for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that the journal names: about these recipients none of this kind is made again."""

    kind: Kind
    recipients: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`languages` of the letter, one below the other. `delay_report_seconds` 0: no delay reports. `return_limit`:
    octets of a message up to which RET=FULL returns all of it. `author`, `postmaster`: local parts or whole addresses,
    who writes the reports and whom they name for help."""

    hostname: str
    languages: tuple[str, ...] = ("en",)
    template_dir: str = ""
    author: str = "MAILER-DAEMON"
    postmaster: str = "postmaster"
    delay_report_seconds: float = 14400
    give_up_seconds: float = 432000
    return_limit: int = 256 << 10


def find_due(
    envelope: Envelope,
    outcomes: Mapping[int, Outcome],
    reported: Collection[Reported],
    now: float,
    settings: ReportSettings,
    passed_on: Collection[int] = (),
) -> Report | None:
    """The next report that is due, None when there is none (any more).

    `outcomes`: the last one of each recipient that was tried, by its index; `reported`: what was journalled before;
    `passed_on`: recipients that were relayed to a host that offers DSN, which will confirm by itself (section 5.2.1).
    """
    if envelope.reverse_path is None:
        return None
    candidates = {
        Kind.FAILED: _failed(outcomes),
        Kind.SUCCEEDED: _succeeded(envelope, outcomes, passed_on),
        Kind.DELAYED: _delayed(envelope, outcomes, reported, now, settings),
    }
    for kind, told in candidates.items():
        done = {index for report in reported if report.kind is kind for index in report.recipients}
        wanted = tuple(
            outcome
            for outcome in told
            if outcome.recipient not in done and _wants(envelope.recipients[outcome.recipient], kind)
        )
        if wanted:
            return Report(kind, wanted)
    return None


def next_delay_report(envelope: Envelope, settings: ReportSettings) -> float:
    """When the message must be looked at again for its delay report, in seconds since the epoch; 0 for never."""
    wanted = envelope.reverse_path is not None and any(_wants(one, Kind.DELAYED) for one in envelope.recipients)
    return envelope.received + settings.delay_report_seconds if wanted and settings.delay_report_seconds else 0.0


def onward_request(envelope: Envelope, index: int) -> DsnRequest:
    """What to ask of the next hop for a recipient. The members of an alias of several are not asked to confirm, since
    the alias was `expanded` (RFC 3461 section 5.2.7.3 c)."""
    recipient = envelope.recipients[index]
    request = recipient.dsn
    if "SUCCESS" not in request.notify or not _is_of_several(envelope, recipient):
        return request
    rest = tuple(word for word in request.notify if word != "SUCCESS")
    return replace(request, notify=rest or ("NEVER",))


def _wants(recipient: Recipient, kind: Kind) -> bool:
    return _WORDS[kind] in (recipient.dsn.notify or _DEFAULT)


def _is_of_several(envelope: Envelope, recipient: Recipient) -> bool:
    """Whether the recipient stands in the envelope together with others for one alias."""
    return len(_members(envelope, recipient)) > 1


def _members(envelope: Envelope, recipient: Recipient) -> list[int]:
    """The recipients that stand for the same alias as this one; none when there is no alias."""
    if recipient.original is None:
        return []
    key = recipient.original.key
    return [i for i, one in enumerate(envelope.recipients) if one.original is not None and one.original.key == key]


def _failed(outcomes: Mapping[int, Outcome]) -> list[Outcome]:
    return [outcomes[index] for index in sorted(outcomes) if outcomes[index].status is Status.FAILED]


def _delayed(
    envelope: Envelope,
    outcomes: Mapping[int, Outcome],
    reported: Collection[Reported],
    now: float,
    settings: ReportSettings,
) -> list[Outcome]:
    """All that still wait, once per message."""
    age = now - envelope.received
    if not settings.delay_report_seconds or not settings.delay_report_seconds <= age < settings.give_up_seconds:
        return []
    if any(report.kind is Kind.DELAYED for report in reported):
        return []
    return [outcomes[index] for index in sorted(outcomes) if outcomes[index].status is Status.DELAYED]


def _succeeded(envelope: Envelope, outcomes: Mapping[int, Outcome], passed_on: Collection[int]) -> list[Outcome]:
    """Good news that somebody asked for; of an alias of several only one, as `expanded`, when the first of its members
    is reached."""
    told: dict[int, Outcome] = {}
    for index in sorted(outcomes):
        outcome = outcomes[index]
        recipient = envelope.recipients[index]
        if outcome.status not in _GOOD or not _wants(recipient, Kind.SUCCEEDED):
            continue
        members = _members(envelope, recipient)
        if len(members) > 1:
            first = members[0]
            told.setdefault(first, Outcome(first, Status.EXPANDED, "2.1.5", "", "", outcome.at))
        elif outcome.status is not Status.RELAYED or index not in passed_on:
            told[index] = outcome
    return [told[index] for index in sorted(told)]


class Bouncer:
    """Writes reports and queues them, for all threads of a process.

    `sign` takes the header and the blocks of the body and gives the fields to put before them (deliver/sign).
    `complaints`: what is wrong with the operator's templates, for the log.
    """

    def __init__(
        self,
        disk: Disk,
        data_dir: str,
        spool: Spool,
        settings: ReportSettings,
        clock: Clock,
        sign: Callable[[bytes, Iterable[bytes]], bytes] | None = None,
    ) -> None:
        self._disk = disk
        self._data_dir = data_dir
        self._spool = spool
        self._settings = settings
        self._clock = clock
        self._sign = sign
        self._languages, self.complaints = load_templates(settings.languages, settings.template_dir, disk.read)
        self._author = self._at_home(settings.author)
        self._postmaster = str(self._at_home(settings.postmaster))

    def send(self, identifier: str, report: Report, envelope: Envelope, read: Callable[[int], bytes]) -> None:
        """Queue the report under this ID, unless it was made before; see `make` for the rest."""
        if self._was_made(identifier):
            return
        own, octets = self.make(identifier, report, envelope, read)
        with Scratch(self._disk, "", 0, MemoryBudget(0)) as nothing:
            try:
                self._spool.enqueue(own, Octets(octets, nothing))
            except AlreadyThere:
                # Released from hold/ between the look and the link.
                self._disk.sync_directory(f"{self._data_dir}/{QUEUE}")

    def _was_made(self, identifier: str) -> bool:
        """Whether the spool knows this ID. In this order: a report that is not in the queue any more has its journal
        by then, so that none can slip through between two looks."""
        if self._disk.exists(f"{self._data_dir}/{QUEUE}/{identifier}"):
            # Its maker may have been killed between the link and the sync.
            self._disk.sync_directory(f"{self._data_dir}/{QUEUE}")
            return True
        return any(self._disk.exists(f"{self._data_dir}/{place}/{identifier}") for place in (HOLD, JOURNAL, CORRUPT))

    def make(
        self, identifier: str, report: Report, envelope: Envelope, read: Callable[[int], bytes]
    ) -> tuple[Envelope, bytes]:
        """The report as a message of this ID: its envelope, with the null reverse-path, and its octets. `read` gives
        the first octets of the original, as many as it is asked for."""
        sender = envelope.reverse_path
        if sender is None:
            raise ValueError("there is no report for a message with the null reverse-path")
        moment = self._clock.now()
        retry_until = envelope.received + self._settings.give_up_seconds if report.kind is Kind.DELAYED else 0.0
        header, original = self._original(report, envelope, read)
        matter = Matter(
            report.kind, envelope, report.outcomes, header, original.message is not None, moment, retry_until,
            self._settings.hostname, self._postmaster,
        )  # fmt: skip
        imprint = Imprint(
            self._settings.hostname, self._author, f"{identifier}@{self._settings.hostname}", moment,
            f"{identifier}/{entropy.octets(12).hex()}", retry_until,
        )  # fmt: skip
        octets = build_report(envelope, report.outcomes, original, write_letter(matter, self._languages), imprint)
        if self._sign is not None:
            body = octets.index(b"\r\n\r\n") + 4
            octets = self._sign(octets[:body], (octets[body:],)) + octets
        parameters = MailParameters(
            size=len(octets), body="7BIT" if octets.isascii() else "8BITMIME", smtputf8=not sender.is_ascii
        )
        # NEVER: section 6.1. With the null reverse-path it is the second lock on the same door.
        recipient = Recipient(sender, DsnRequest(("NEVER",)))
        return Envelope(identifier, moment, None, (recipient,), parameters, client="local", size=len(octets)), octets

    def _original(self, report: Report, envelope: Envelope, read: Callable[[int], bytes]) -> tuple[Header, Original]:
        """What is returned: all of a failed message with RET=FULL that is not too large, else the header (section
        6.2)."""
        full = report.kind is Kind.FAILED and envelope.parameters.ret == "FULL"
        whole = full and 0 < envelope.size <= self._settings.return_limit
        octets = read(envelope.size if whole else HEADER_LIMIT)
        header = scan(octets, True)
        assert header is not None
        kept = header.octets
        if len(kept) > HEADER_LIMIT or len(octets) == HEADER_LIMIT:
            kept = kept[: kept.rfind(b"\r\n", 0, HEADER_LIMIT)] + b"\r\n"
        return header, Original(kept, octets if whole and is_returnable(octets, kept) else None)

    def _at_home(self, address: str) -> Address:
        """A local part alone is one of this host."""
        local_part, _, domain = address.rpartition("@")
        return Address(local_part or domain, domain if local_part else self._settings.hostname)
