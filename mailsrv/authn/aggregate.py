"""DMARC aggregate reports as values, and how the rows of a day become one (RFC 9990 section 3).

A report is about one Policy Domain and one day; messages that look the same are one record with a count. What it says
of the policy is what the last row of the day saw (section 3.1). Its octets are made and read in authn/aggregate_xml.

Diagnostics: raises nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mailsrv.authn.dmarc_record import parse_record
from mailsrv.authn.dmarc_row import DkimSeen, DmarcRow, Override, SpfSeen
from mailsrv.errors import GrammarError


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who reports, and on what time: `begin` and `end` in seconds since the epoch. `error` is for the report's
    reader."""

    organization: str
    email: str
    report_id: str
    begin: int
    end: int
    contact: str = ""
    error: str = ""
    generator: str = ""


@dataclass(frozen=True, slots=True)
class PolicyPublished:
    """The policy record as it was found; what it leaves out has its default, `sp` and `np` are "" then."""

    domain: str
    p: str = "none"
    sp: str = ""
    np: str = ""
    adkim: str = "r"
    aspf: str = "r"
    fo: str = "0"
    testing: str = "n"


@dataclass(frozen=True, slots=True)
class Record:
    """So many messages from one address that look the same. `dkim` and `spf`: whether DMARC passed by them, pass or
    fail; `disposition`: none, pass, quarantine or reject. `spf_result` None: SPF found nothing."""

    source: str
    count: int
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str = ""
    envelope_to: str = ""
    reasons: tuple[Override, ...] = ()
    dkim_results: tuple[DkimSeen, ...] = ()
    spf_result: SpfSeen | None = None

    @property
    def passed(self) -> bool:
        """Whether these messages passed DMARC."""
        return "pass" in (self.dkim, self.spf)


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """A whole report."""

    metadata: Metadata
    policy: PolicyPublished
    records: tuple[Record, ...]

    @property
    def messages(self) -> int:
        return sum(record.count for record in self.records)


class Tally:
    """The rows of one Policy Domain, counted as they come."""

    def __init__(self) -> None:
        self._counts: dict[Record, int] = {}
        self.last: DmarcRow | None = None
        self.messages = 0

    def add(self, row: DmarcRow) -> None:
        """Count one message."""
        record = _record(row)
        self._counts[record] = self._counts.get(record, 0) + 1
        self.messages += 1
        self.last = row

    def records(self) -> tuple[Record, ...]:
        """Every record, by source and then as they came."""
        counted = (replace(record, count=count) for record, count in self._counts.items())
        return tuple(sorted(counted, key=lambda record: record.source))


def tally(rows: Iterable[DmarcRow]) -> dict[str, Tally]:
    """Rows by their Policy Domain."""
    found: dict[str, Tally] = {}
    for row in rows:
        found.setdefault(row.record_domain, Tally()).add(row)
    return found


def describe_policy(domain: str, record: str) -> PolicyPublished:
    """A policy record for the report; what cannot be read of it has its default."""
    try:
        read = parse_record(record.encode("utf-8", "replace"))
    except GrammarError:
        return PolicyPublished(domain)
    return PolicyPublished(
        domain=domain,
        p=read.p.value,
        sp=read.sp.value if read.sp else "",
        np=read.np.value if read.np else "",
        adkim=read.adkim,
        aspf=read.aspf,
        fo=":".join(read.fo),
        testing=read.t,
    )


def _record(row: DmarcRow) -> Record:
    passed = "pass" in (row.spf_aligned, row.dkim_aligned)
    # What passes under a policy that would have hurt it is told apart from what there was no policy for.
    untouched = passed and row.disposition == "none" and row.asked != "none"
    return Record(
        source=row.client,
        count=0,
        disposition="pass" if untouched else row.disposition,
        dkim=row.dkim_aligned,
        spf=row.spf_aligned,
        header_from=row.header_from,
        envelope_from=row.envelope_from,
        envelope_to=row.envelope_to,
        reasons=row.reasons,
        dkim_results=row.dkim,
        # The null reverse-path is one of the HELO name (RFC 7208 section 2.4), and a report knows no other scope.
        spf_result=replace(row.spf, scope="mfrom") if row.spf and row.spf.domain else None,
    )
