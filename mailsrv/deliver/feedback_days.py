"""The DMARC aggregate reports of a day that has ended: from its rows into the queue, each exactly once.

For each Policy Domain that had mail: who wants the report is looked up, the report is named in the day's ledger with
its ID and its addresses, durably, then it is queued under that ID, then that is noted. After a crash what was named and
not queued is made again under its ID from the same rows, before anything else; the spool knows an ID that lay in it,
since a report leaves a journal (mailsrv-store(5)). Where the DNS does not tell now who wants a report, the day stays
open and is tried again, for two days. At most one report about a Policy Domain and a day.

A report has our contact as its reverse-path, so that SPF and DKIM speak for it, and NOTIFY=NEVER: one that cannot be
delivered is a line in the log, never a report about a report.

Diagnostics: `Days.report` and `Days.restore` raise StorageError when the disk refuses, and what `sign` raises; they
are to be called again, and go on where they stopped.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mailsrv import __version__
from mailsrv.authn.aggregate import AggregateReport, Metadata, Tally, describe_policy
from mailsrv.authn.dmarc_record import parse_record
from mailsrv.authn.findings import Ask
from mailsrv.authn.report_uri import Destinations, Tag, find_destinations
from mailsrv.config.schema import Config
from mailsrv.deliver.job import Sign
from mailsrv.deliver.feedback_letter import Letterhead, write_letter
from mailsrv.errors import AlreadyThere, GrammarError
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.spool.claim import REPORT
from mailsrv.spool.enqueue import Spool
from mailsrv.store.feedback_layout import DAY_SECONDS, MAX_DAY_OCTETS, FeedbackLayout, beginning_of
from mailsrv.store.feedback_ledger import Done, Ledger, Named, Queued, Skipped
from mailsrv.store.feedback_lines import LeftOut, read_rows
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.log import Log
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

MAX_MESSAGE = 10 << 20  # octets of a report as it is sent
FIRST_SECONDS = 1800.0  # after a day's end, when nobody writes to its file any more
SPREAD_SECONDS = 14_400  # so that the reports of the world do not all come at one time
PATIENCE_SECONDS = 2 * DAY_SECONDS  # with a DNS that does not tell who wants a report
STALE_SECONDS = 8 * DAY_SECONDS  # after a day's beginning nobody wants its reports

_DOMAIN = re.compile("[a-z0-9_-]+(?:[.][a-z0-9_-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportingSettings:
    """Who reports: `contact` sends reports and answers for them."""

    hostname: str
    organization: str
    contact: Address

    @classmethod
    def from_config(cls, config: Config) -> "ReportingSettings":
        contact = config.dmarc.contact
        if "@" not in contact:
            home = config.hostname if config.hostname in config.domains or not config.domains else config.domains[0]
            contact = f"{contact}@{home}"
        return cls(config.hostname, config.dmarc.organization or config.hostname, parse_address(contact))


@dataclass(frozen=True, slots=True)
class Services:
    """What is needed: `asks` gives the way to the DNS for one Policy Domain, with its budget; `new_id` a queue ID;
    `sign` the signatures to put before a message (deliver/sign)."""

    disk: Disk
    spool: Spool
    layout: FeedbackLayout
    clock: Clock
    log: Log
    asks: Callable[[], Ask]
    new_id: Callable[[], str]
    sign: Sign | None = None


@dataclass(slots=True)
class _Pass:
    """One way through a day's Policy Domains, which may take several rounds: their rows, how many rows are missing, and
    the domains of which the DNS did not tell this time."""

    day: str
    tallies: dict[str, Tally]
    left_out: int
    unknown: set[str]


class Days:
    """Makes the reports of days; used by one thread of one process."""

    def __init__(self, services: Services, settings: ReportingSettings) -> None:
        self._services = services
        self._settings = settings
        self._pass: _Pass | None = None

    def due_at(self, day: str) -> float:
        """When a day's reports are made: some hours after its end, another time on each server and day."""
        text = f"{self._settings.hostname}\n{self._services.layout.data_dir}\n{day}".encode()
        spread = int.from_bytes(hashlib.sha256(text).digest()[:4], "big") % SPREAD_SECONDS
        return beginning_of(day) + DAY_SECONDS + FIRST_SECONDS + spread

    def report(self, day: str, until: float = float("inf")) -> bool:
        """Make the reports of a day that is due, as far as time (monotonic) allows; True when it is done for good."""
        services = self._services
        ledger = Ledger(services.disk, services.layout, day)
        known = ledger.load()
        if known.done is not None:
            return True
        work = self._count(day)
        for named in known.pending:
            self._queue(day, named, work.tallies, ledger)
        for domain, tally in sorted(work.tallies.items()):
            if services.clock.monotonic() >= until:
                return False
            if not known.knows(domain) and domain not in work.unknown and not self._settle(day, domain, tally, ledger):
                work.unknown.add(domain)
        self._pass = None
        if not work.unknown:
            ledger.write(Done(services.clock.now(), work.left_out))
        return not work.unknown

    def restore(self, day: str) -> None:
        """Queue what was named before a crash, and no more. To be called for each day that is not done, before the
        queue's runner delivers anything or clears journals away."""
        ledger = Ledger(self._services.disk, self._services.layout, day)
        pending = ledger.load().pending
        if pending:
            work = self._count(day)
            for named in pending:
                self._queue(day, named, work.tallies, ledger)
            self._pass = None

    def _count(self, day: str) -> _Pass:
        """A day's rows by Policy Domain, durable before anything is made of them; or the pass that has begun."""
        if self._pass is not None and self._pass.day == day:
            return self._pass
        services = self._services
        path = services.layout.rows_of(day)
        try:
            services.disk.append(path, b"", sync=True, create=False)
            services.disk.sync_directory(services.layout.rows)
            octets = services.disk.read(path, 2 * MAX_DAY_OCTETS)
        except Missing:
            octets = b""
        tallies: dict[str, Tally] = {}
        left_out = 0
        for row in read_rows(octets.split(b"\n")):
            if isinstance(row, LeftOut):
                left_out += row.left_out
            else:
                tallies.setdefault(row.record_domain, Tally()).add(row)
        self._pass = _Pass(day, tallies, left_out, set())
        return self._pass

    def _settle(self, day: str, domain: str, tally: Tally, ledger: Ledger) -> bool:
        """Make one report or say why there is none; False when it is not known yet who wants it."""
        services, now = self._services, self._services.clock.now()
        rows, late = len(tally.records()), now - beginning_of(day)

        def skip(reason: str) -> bool:
            ledger.write(Skipped(domain, reason, rows, tally.messages, now))
            events.feedback(
                services.log, id="", kind="aggregate", domain=domain, state="skipped", to=[], messages=tally.messages,
                reason=reason,
            )  # fmt: skip
            return True

        if late > STALE_SECONDS:
            return skip("too old")
        if not _DOMAIN.fullmatch(domain):
            return skip("not the name of a domain that mail comes from")  # and nothing for a header
        found = self._find(domain, tally)
        if found.unknown and late < DAY_SECONDS + PATIENCE_SECONDS:
            return False
        if not found.addresses:
            refused = ", ".join(str(address) for address in (*found.refused, *found.unknown))
            return skip(f"not wanted at {refused}" if refused else "no address that takes reports")
        named = Named(domain, services.new_id(), tuple(map(str, found.addresses)), rows, tally.messages, now)
        if len(self._write(day, named, tally)) > MAX_MESSAGE:
            return skip(f"larger than {MAX_MESSAGE} octets")
        ledger.write(named)
        self._queue(day, named, {domain: tally}, ledger)
        return True

    def _find(self, domain: str, tally: Tally) -> Destinations:
        assert tally.last is not None
        try:
            record = parse_record(tally.last.record.encode("utf-8", "replace"))
        except GrammarError:
            return Destinations()
        return find_destinations(domain, record.rua, Tag.AGGREGATE, self._services.asks())

    def _queue(self, day: str, named: Named, tallies: dict[str, Tally], ledger: Ledger) -> None:
        """Queue a report that is named, unless the spool knows it already."""
        services = self._services
        tally = tallies.get(named.domain)
        if tally is None:
            reason = "its rows are gone"
            ledger.write(Skipped(named.domain, reason, named.rows, named.messages, services.clock.now()))
            return
        octets = self._write(day, named, tally)
        if services.sign is not None:
            body = octets.index(b"\r\n\r\n") + 4
            octets = services.sign(octets[:body], (octets[body:],)) + octets
        recipients = tuple(Recipient(address, DsnRequest(("NEVER",))) for address in _addresses(named))
        parameters = MailParameters(
            size=len(octets),
            body="7BIT" if octets.isascii() else "8BITMIME",
            smtputf8=not all(one.is_ascii for one in (self._settings.contact, *_addresses(named))),
        )
        envelope = Envelope(
            named.id, named.at, self._settings.contact, recipients, parameters, client=REPORT, size=len(octets)
        )
        with Scratch(services.disk, "", 0, MemoryBudget(0)) as nothing, suppress(AlreadyThere):
            services.spool.enqueue_once(envelope, Octets(octets, nothing))
        ledger.write(Queued(named.id, services.clock.now()))
        events.feedback(
            services.log, id=named.id, kind="aggregate", domain=named.domain, state="queued", to=named.to,
            messages=named.messages, reason="",
        )  # fmt: skip

    def _write(self, day: str, named: Named, tally: Tally) -> bytes:
        """The message of a report; the same for the same name and rows."""
        assert tally.last is not None
        settings, begin = self._settings, beginning_of(day)
        metadata = Metadata(
            organization=settings.organization,
            email=str(settings.contact),
            report_id=f"{named.id}@{settings.hostname}",
            begin=begin,
            end=begin + DAY_SECONDS - 1,
            generator=f"mailsrv {__version__}",
        )
        report = AggregateReport(metadata, describe_policy(named.domain, tally.last.record), tally.records())
        head = Letterhead(named.id, settings.hostname, settings.contact, _addresses(named), named.at)
        return write_letter(report, head)


def _addresses(named: Named) -> tuple[Address, ...]:
    return tuple(parse_address(text) for text in named.to)
