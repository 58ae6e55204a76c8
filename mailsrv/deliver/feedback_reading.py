"""A message that may be a report, read: an aggregate report (RFC 9990, RFC 7489), or a failure report (RFC 5965 and
RFC 6591, RFC 9991).

What it says is taken as a claim of whoever sent it, cut to what a line of the record may hold. Nothing is looked up.

Diagnostics: `read_feedback` raises GrammarError when there is no report in the message, or none that can be read.
"""

import re

from mailsrv.authn.aggregate import AggregateReport
from mailsrv.authn.aggregate_xml import read_report
from mailsrv.deliver.feedback_parts import Part, find_parts, unpack
from mailsrv.errors import GrammarError
from mailsrv.mail.header import Header, scan, unfold
from mailsrv.store.feedback_received import AggregateSeen, FailureSeen, Source

MAX_SOURCES = 100
_MAX_TRIES = 3  # files of one message: each may be as large as a report may be
_MAX_TEXT = 200  # characters of a field that are kept
_MAX_INCIDENTS = 1_000_000
_ARF = "message/feedback-report"
_TLS_REPORTS = frozenset({"application/tlsrpt+gzip", "application/tlsrpt+json"})
_WORDS = frozenset({"text/plain", "text/html", "message/rfc822", "text/rfc822-headers", "multipart/alternative"})
_UNSEEN = re.compile("[^\x20-\x7e\xa1-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


def read_feedback(identifier: str, message: bytes, now: float) -> AggregateSeen | FailureSeen:
    """What the message of this ID reports."""
    reason = "there is no report in it"
    tries = 0
    for part in find_parts(message):
        if part.kind == _ARF:
            return _read_failure(identifier, part, message, now)
        if part.kind in _TLS_REPORTS:
            reason = "a report about TLS (RFC 8460), which is not read"
        elif part.kind not in _WORDS and part.body and tries < _MAX_TRIES:
            tries += 1
            try:
                return _summarise(identifier, read_report(unpack(part.body)), now)
            except GrammarError as error:
                reason = str(error)
    raise GrammarError(reason)


def _summarise(identifier: str, report: AggregateReport, now: float) -> AggregateSeen:
    counts: dict[str, list[int]] = {}
    for record in report.records:
        count = counts.setdefault(_show(record.source), [0, 0])
        count[0] += record.count
        count[1] += record.count if record.passed else 0
    ranked = sorted(counts.items(), key=lambda one: (-one[1][0], one[0]))
    metadata = report.metadata
    return AggregateSeen(
        at=now,
        id=identifier,
        reporter=_show(metadata.organization),
        email=_show(metadata.email),
        report_id=_show(metadata.report_id),
        domain=_show(report.policy.domain).lower(),
        policy=_show(report.policy.p).lower(),
        begin=metadata.begin,
        end=metadata.end,
        messages=report.messages,
        passed=sum(record.count for record in report.records if record.passed),
        sources=tuple(Source(address, *count) for address, count in ranked[:MAX_SOURCES]),
        more=max(len(ranked) - MAX_SOURCES, 0),
    )


def _read_failure(identifier: str, part: Part, message: bytes, now: float) -> FailureSeen:
    # The fields are a header of their own. Some write an empty line before them, or line feeds into base64.
    fields = scan(part.body.replace(b"\r\n", b"\n").lstrip(b"\n").replace(b"\n", b"\r\n"), True)
    own = scan(message, True)
    assert fields is not None and own is not None
    feedback = _field(fields, b"feedback-type").lower()
    if not feedback:
        raise GrammarError("a failure report without Feedback-Type")
    incidents = _field(fields, b"incidents")
    return FailureSeen(
        at=now,
        id=identifier,
        reporter=_field(fields, b"reporting-mta").rpartition(";")[2].strip() or _field(own, b"from"),
        feedback=feedback,
        domain=_field(fields, b"reported-domain").lower(),
        source=_field(fields, b"source-ip"),
        failure=_field(fields, b"auth-failure").lower(),
        delivery=_field(fields, b"delivery-result").lower(),
        arrival=_field(fields, b"arrival-date") or _field(fields, b"received-date"),
        incidents=min(int(incidents), _MAX_INCIDENTS) if re.fullmatch("[0-9]{1,9}", incidents) else 1,
    )


def _field(header: Header, name: bytes) -> str:
    values = header.values(name)
    return _show(unfold(values[0][:1000]).decode("utf-8", "replace")) if values else ""


def _show(text: str) -> str:
    """What a terminal and a line can bear of a text."""
    return _UNSEEN.sub(" ", text[:_MAX_TEXT]).strip()
