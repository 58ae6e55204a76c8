"""The XML of DMARC aggregate reports, both ways (RFC 9990 sections 3.1 and Appendix A; RFC 7489 Appendix C).

Written: namespace dmarc-2.0, elements in the order of the RFC's tables. Read: both RFCs' form, with any namespace or
none, and whatever else is in it is passed over. What is read comes from strangers: a document type or an entity is
refused before anything is expanded (section 9.1), and so is what is deeper, longer or more than any report. Nothing is
fetched.

Diagnostics: `read_report` raises GrammarError for what is no report, or one beyond the bounds; `write_report` raises
nothing.
"""

import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.parsers import expat

from mailsrv.authn.aggregate import AggregateReport, Metadata, PolicyPublished, Record
from mailsrv.authn.dmarc_row import DkimSeen, Override, SpfSeen
from mailsrv.errors import GrammarError

NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"

MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000
MAX_RUN = 16 << 10  # octets of a tag with its attributes and the text behind it
MAX_NAMESPACE = 200  # characters of a namespace: each name in it gets a copy
MAX_TEXT = 2000  # characters of one element; more is cut
MAX_COUNT = 1_000_000_000  # messages of one record
_MAX_SIGNATURES = 100  # of one record (section 3.1.4)
_MAX_REASONS = 10

# A tag holds no other < (section 3.1), so that this bounds its attributes, all of which expat makes known.
_LONG_RUN = re.compile(b"<[^<]{%d}" % MAX_RUN)
# XML 1.0 section 2.2: what cannot stand in a document, not even escaped. Line ends and tabs would not come back alike.
_NO_CHARACTER = re.compile("[^\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_report(report: AggregateReport) -> bytes:
    """The report as an XML document in UTF-8."""
    root = Element("feedback", {"xmlns": NAMESPACE})
    _put(root, "version", "1.0")
    metadata = report.metadata
    part = SubElement(root, "report_metadata")
    _put(part, "org_name", metadata.organization)
    _put(part, "email", metadata.email)
    _put_known(part, "extra_contact_info", metadata.contact)
    _put(part, "report_id", metadata.report_id)
    dates = SubElement(part, "date_range")
    _put(dates, "begin", str(metadata.begin))
    _put(dates, "end", str(metadata.end))
    _put_known(part, "error", metadata.error)
    _put_known(part, "generator", metadata.generator)
    policy = report.policy
    part = SubElement(root, "policy_published")
    _put(part, "domain", policy.domain)
    _put(part, "discovery_method", "treewalk")
    _put(part, "p", policy.p)
    _put_known(part, "sp", policy.sp)
    _put_known(part, "np", policy.np)
    for name, value in (("fo", policy.fo), ("adkim", policy.adkim), ("aspf", policy.aspf), ("testing", policy.testing)):
        _put(part, name, value)
    for record in report.records:
        _put_record(root, record)
    octets: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return octets + b"\n"


def _put_record(root: Element, record: Record) -> None:
    part = SubElement(root, "record")
    row = SubElement(part, "row")
    _put(row, "source_ip", record.source)
    _put(row, "count", str(record.count))
    evaluated = SubElement(row, "policy_evaluated")
    _put(evaluated, "disposition", record.disposition)
    _put(evaluated, "dkim", record.dkim)
    _put(evaluated, "spf", record.spf)
    for reason in record.reasons:
        inner = SubElement(evaluated, "reason")
        _put(inner, "type", reason.type)
        _put_known(inner, "comment", reason.comment)
    identifiers = SubElement(part, "identifiers")
    _put(identifiers, "header_from", record.header_from)
    _put(identifiers, "envelope_from", record.envelope_from)
    _put_known(identifiers, "envelope_to", record.envelope_to)
    results = SubElement(part, "auth_results")
    for dkim in record.dkim_results:
        inner = SubElement(results, "dkim")
        _put(inner, "domain", dkim.domain)
        _put(inner, "selector", dkim.selector)
        _put(inner, "result", dkim.result)
    if record.spf_result is not None:
        inner = SubElement(results, "spf")
        _put(inner, "domain", record.spf_result.domain)
        _put(inner, "scope", record.spf_result.scope)
        _put(inner, "result", record.spf_result.result)


def _put(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = _NO_CHARACTER.sub("", text)


def _put_known(parent: Element, name: str, text: str) -> None:
    if text:
        _put(parent, name, text)


def read_report(octets: bytes) -> AggregateReport:
    """A report from its document."""
    return _Reader().read(octets)


# Groups of fields and where they stand. A group is opened by its element and made into a value when that one ends.
_GROUPS = {
    ("report_metadata",): "metadata",
    ("policy_published",): "policy",
    ("record",): "record",
    ("record", "row", "policy_evaluated", "reason"): "reason",
    ("record", "auth_results", "dkim"): "dkim",
    ("record", "auth_results", "spf"): "spf",
}
_FIELDS = {
    ("report_metadata", "org_name"): "organization",
    ("report_metadata", "email"): "email",
    ("report_metadata", "extra_contact_info"): "contact",
    ("report_metadata", "report_id"): "report_id",
    ("report_metadata", "date_range", "begin"): "begin",
    ("report_metadata", "date_range", "end"): "end",
    ("report_metadata", "error"): "error",
    ("report_metadata", "generator"): "generator",
    ("policy_published", "domain"): "domain",
    ("policy_published", "p"): "p",
    ("policy_published", "sp"): "sp",
    ("policy_published", "np"): "np",
    ("policy_published", "adkim"): "adkim",
    ("policy_published", "aspf"): "aspf",
    ("policy_published", "fo"): "fo",
    ("policy_published", "testing"): "testing",
    ("record", "row", "source_ip"): "source",
    ("record", "row", "count"): "count",
    ("record", "row", "policy_evaluated", "disposition"): "disposition",
    ("record", "row", "policy_evaluated", "dkim"): "dkim",
    ("record", "row", "policy_evaluated", "spf"): "spf",
    ("record", "row", "policy_evaluated", "reason", "type"): "type",
    ("record", "row", "policy_evaluated", "reason", "comment"): "comment",
    # RFC 7489's first drafts had `identities`, and some still write it.
    ("record", "identifiers", "header_from"): "header_from",
    ("record", "identifiers", "envelope_from"): "envelope_from",
    ("record", "identifiers", "envelope_to"): "envelope_to",
    ("record", "identities", "header_from"): "header_from",
    ("record", "identities", "envelope_from"): "envelope_from",
    ("record", "identities", "envelope_to"): "envelope_to",
    ("record", "auth_results", "dkim", "domain"): "domain",
    ("record", "auth_results", "dkim", "selector"): "selector",
    ("record", "auth_results", "dkim", "result"): "result",
    ("record", "auth_results", "spf", "domain"): "domain",
    ("record", "auth_results", "spf", "scope"): "scope",
    ("record", "auth_results", "spf", "result"): "result",
}


class _Reader:
    """Reads one document, element by element."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._namespace = ""
        self._strange = 0  # depth inside of elements that are an extension's
        self._elements = 0
        self._text: list[str] | None = None
        self._length = 0
        self._groups: list[dict[str, str]] = []
        self._metadata: Metadata | None = None
        self._policy: PolicyPublished | None = None
        self._records: list[Record] = []
        self._reasons: list[Override] = []
        self._dkim: list[DkimSeen] = []
        self._spf: SpfSeen | None = None

    def read(self, octets: bytes) -> AggregateReport:
        if b"\0" in octets:  # UTF-16, where a < need not be one
            raise GrammarError("no XML in UTF-8 or another superset of ASCII")
        if _LONG_RUN.search(octets):
            raise GrammarError(f"a tag or a text of more than {MAX_RUN} octets")
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartNamespaceDeclHandler = _check_namespace
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        try:
            parser.Parse(octets, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise GrammarError(f"no XML: {error}") from None
        if self._metadata is None or self._policy is None:
            raise GrammarError(
                "an XML document, but no aggregate report: report_metadata or policy_published is missing"
            )
        return AggregateReport(self._metadata, self._policy, tuple(self._records))

    def _start(self, name: str, _attributes: object) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise GrammarError(f"more than {MAX_ELEMENTS} elements")
        namespace, _, local = name.rpartition(" ")
        if not self._elements - 1:
            if local != "feedback":
                raise GrammarError(f"an XML document, but no aggregate report: its root is {local[:40]!r}")
            self._namespace = namespace
            return
        if self._strange or namespace != self._namespace:
            self._strange += 1
        else:
            self._path.append(local)
        if len(self._path) + self._strange > MAX_DEPTH:
            raise GrammarError(f"elements deeper than {MAX_DEPTH}")
        if self._strange:
            return
        path = tuple(self._path)
        if path in _GROUPS:
            self._groups.append({})
        self._text = [] if path in _FIELDS else None
        self._length = 0

    def _characters(self, text: str) -> None:
        if self._text is not None and not self._strange and self._length < MAX_TEXT:
            self._text.append(text[: MAX_TEXT - self._length])
            self._length += len(text)

    def _end(self, _name: str) -> None:
        if self._strange:
            self._strange -= 1
            return
        if not self._path:
            return
        path = tuple(self._path)
        self._path.pop()
        if self._text is not None and path in _FIELDS and self._groups:
            self._groups[-1].setdefault(_FIELDS[path], "".join(self._text).strip())
        self._text = None
        if path in _GROUPS:
            _MAKERS[_GROUPS[path]](self, self._groups.pop())

    def _take_metadata(self, fields: dict[str, str]) -> None:
        begin, end = _number(fields.pop("begin", "")), _number(fields.pop("end", ""))
        needed = {"organization": "", "email": "", "report_id": "", **fields}
        self._metadata = self._metadata or Metadata(**needed, begin=begin, end=end)

    def _take_policy(self, fields: dict[str, str]) -> None:
        self._policy = self._policy or PolicyPublished(**{"domain": "", **fields})

    def _take_record(self, fields: dict[str, str]) -> None:
        count = _number(fields.pop("count", ""))
        needed = {"source": "", "disposition": "", "dkim": "", "spf": "", "header_from": "", **fields}
        record = Record(
            **needed,
            count=count,
            reasons=tuple(self._reasons),
            dkim_results=tuple(self._dkim),
            spf_result=self._spf,
        )
        self._records.append(record)
        self._reasons, self._dkim, self._spf = [], [], None

    def _take_reason(self, fields: dict[str, str]) -> None:
        if len(self._reasons) < _MAX_REASONS:
            self._reasons.append(Override(fields.get("type", ""), fields.get("comment", "")))

    def _take_dkim(self, fields: dict[str, str]) -> None:
        if len(self._dkim) < _MAX_SIGNATURES:
            self._dkim.append(DkimSeen(fields.get("domain", ""), fields.get("selector", ""), fields.get("result", "")))

    def _take_spf(self, fields: dict[str, str]) -> None:
        # RFC 7489 allowed several; the first is the one of MAIL.
        self._spf = self._spf or SpfSeen(
            fields.get("domain", ""), fields.get("scope", "mfrom"), fields.get("result", "")
        )


_MAKERS: dict[str, Callable[[_Reader, dict[str, str]], None]] = {
    "metadata": _Reader._take_metadata,
    "policy": _Reader._take_policy,
    "record": _Reader._take_record,
    "reason": _Reader._take_reason,
    "dkim": _Reader._take_dkim,
    "spf": _Reader._take_spf,
}


def _check_namespace(_prefix: object, uri: str | None) -> None:
    if uri is not None and len(uri) > MAX_NAMESPACE:
        raise GrammarError(f"a namespace of more than {MAX_NAMESPACE} characters")


def _refuse(*_: Any) -> None:
    raise GrammarError("a document type or an entity, which no report has")


def _number(text: str) -> int:
    """A number of a report; garbage is 0. Some write a fraction behind seconds."""
    digits = text.partition(".")[0]
    return min(int(digits), MAX_COUNT * 100) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else 0
