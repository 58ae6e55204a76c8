"""Reports to senders: writing one and queueing it exactly once.

So that a report is made once, whatever crashes when (mailsrv-spool(5), state C): the runner journals the report that
deliver/due finds with an ID, then calls `Bouncer.send` under that ID, then journals that it is queued; a report whose
ID is known in the spool was made before the crash. Only the holder of the original's claim may call it. Nothing is
delivered here: a report goes through the queue as any message does, to a local mailbox or another server.

Diagnostics: `Bouncer.send` raises StorageFull or StorageError when the report could not be queued, and what `sign`
raises; it is to be tried again under the same ID. What is wrong with the operator's templates stands in
`Bouncer.complaints`.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from mailsrv.deliver.due import Report, ReportSettings
from mailsrv.deliver.letter import Matter, write_letter
from mailsrv.deliver.templates import load_templates
from mailsrv.errors import AlreadyThere
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Imprint, Kind, Original, build_report, is_returnable
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.mail.header import Header, scan
from mailsrv.spool.enqueue import Spool
from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

HEADER_LIMIT = 64 << 10  # octets of the original's header that are returned


class Bouncer:
    """Writes reports and queues them, for all threads of a process.

    `sign` takes the header and the blocks of the body and gives the fields to put before them (deliver/sign).
    `complaints`: what is wrong with the operator's templates, for the log.
    """

    def __init__(
        self,
        disk: Disk,
        spool: Spool,
        settings: ReportSettings,
        clock: Clock,
        sign: Callable[[bytes, Iterable[bytes]], bytes] | None = None,
    ) -> None:
        self._disk = disk
        self._spool = spool
        self._settings = settings
        self._clock = clock
        self._sign = sign
        self._languages, self.complaints = load_templates(settings.languages, settings.template_dir, disk.read)
        self._author = self._at_home(settings.author)
        self._postmaster = str(self._at_home(settings.postmaster))

    def send(self, identifier: str, report: Report, envelope: Envelope, read: Callable[[int], bytes]) -> None:
        """Queue the report under this ID, unless the spool knows it already; see `make` for the rest."""
        own, octets = self.make(identifier, report, envelope, read)
        with Scratch(self._disk, "", 0, MemoryBudget(0)) as nothing, suppress(AlreadyThere):
            self._spool.enqueue_once(own, Octets(octets, nothing))

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
