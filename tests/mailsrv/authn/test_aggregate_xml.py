"""The XML of reports: there and back, its order, others' forms, and what is refused."""

import itertools
import time
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.authn import aggregate_xml
from mailsrv.authn.aggregate import AggregateReport, Metadata, PolicyPublished, Record
from mailsrv.authn.aggregate_xml import NAMESPACE, read_report, write_report
from mailsrv.authn.dmarc_row import DkimSeen, Override, SpfSeen
from mailsrv.errors import GrammarError

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=30)
WORDS = WORDS.map(str.strip)
COUNTS = st.integers(0, 10**9)
RECORDS = st.builds(
    Record,
    *(WORDS, COUNTS, WORDS, WORDS, WORDS, WORDS, WORDS, WORDS),
    st.lists(st.builds(Override, WORDS, WORDS), max_size=3).map(tuple),
    st.lists(st.builds(DkimSeen, WORDS, WORDS, WORDS), max_size=3).map(tuple),
    st.none() | st.builds(SpfSeen, WORDS, WORDS, WORDS),
)
REPORTS = st.builds(
    AggregateReport,
    st.builds(Metadata, WORDS, WORDS, WORDS, COUNTS, COUNTS, WORDS, WORDS, WORDS),
    st.builds(PolicyPublished, *[WORDS] * 8),
    st.lists(RECORDS, max_size=4).map(tuple),
)
REPORT = AggregateReport(
    Metadata("Here", "postmaster@here.example", "1@here.example", 1, 2, "call us", "odd record", "mailsrv"),
    PolicyPublished("example.org", "reject", "none", "none"),
    (
        Record(
            *("2001:db8::1", 7, "none", "fail", "fail", "example.org", "b.example", "here.example"),
            (Override("other", "why"),),
            (DkimSeen("a.example", "s", "fail"), DkimSeen("b.example", "t", "pass")),
            SpfSeen("b.example", "mfrom", "pass"),
        ),
        Record("192.0.2.1", 1, "pass", "pass", "fail", "example.org"),
    ),
)


@settings(max_examples=60, deadline=None)
@given(REPORTS)
def test_a_report_comes_back(report):
    assert read_report(write_report(report)) == report


def test_what_no_document_can_hold_is_left_out():
    policy = PolicyPublished("ex\x00am\x1bple\ud800.org\ufffe")
    report = read_report(write_report(AggregateReport(REPORT.metadata, policy, ())))
    assert report.policy.domain == "example.org"


# Parent -> its children in the order of RFC 9990's tables.
ORDER = {
    "feedback": ["version", "report_metadata", "policy_published", "record"],
    "report_metadata": [
        "org_name", "email", "extra_contact_info", "report_id", "date_range", "error", "generator",
    ],
    "date_range": ["begin", "end"],
    "policy_published": ["domain", "discovery_method", "p", "sp", "np", "fo", "adkim", "aspf", "testing"],
    "record": ["row", "identifiers", "auth_results"],
    "row": ["source_ip", "count", "policy_evaluated"],
    "policy_evaluated": ["disposition", "dkim", "spf", "reason"],
    "identifiers": ["header_from", "envelope_from", "envelope_to"],
    "auth_results": ["dkim", "spf"],
    "reason": ["type", "comment"],
    "dkim": ["domain", "selector", "result"],
    "spf": ["domain", "scope", "result"],
}  # fmt: skip


def test_elements_stand_in_the_order_of_the_tables():
    octets = write_report(REPORT)
    assert octets.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")
    seen = set()
    for element in ElementTree.fromstring(octets).iter():
        namespace, _, name = element.tag[1:].rpartition("}")
        assert namespace == NAMESPACE
        children = [key for key, _ in itertools.groupby(child.tag.rpartition("}")[2] for child in element)]
        if children:
            seen.add(name)
            order = [child for child in ORDER[name] if child in children]
            assert children == order
    assert seen == set(ORDER)


def test_the_form_of_rfc_7489_and_what_others_add():
    octets = b"""<?xml version="1.0" encoding="windows-1252"?>
    <feedback xmlns:x="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
      <x:report_metadata><x:org_name>not this</x:org_name></x:report_metadata>
      <report_metadata><org_name> B\xfccher <!-- so --> Verein </org_name><email>a@b</email>
        <report_id>77</report_id><date_range><begin>1504742400</begin><end>1504828799.5</end></date_range>
        <x:deep><count>9</count></x:deep>
      </report_metadata>
      <policy_published><domain>example.org</domain><adkim>s</adkim><p>none</p><pct>100</pct></policy_published>
      <record>
        <row><source_ip>192.0.2.1</source_ip><count>2</count>
          <policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>pass</spf></policy_evaluated></row>
        <identities><header_from>example.org</header_from></identities>
        <auth_results>
          <spf><domain>example.org</domain><result>pass</result><human_result>fine</human_result></spf>
          <spf><domain>helo.example</domain><scope>helo</scope><result>none</result></spf>
        </auth_results>
      </record>
      <record><row><count>many</count></row></record>
    </feedback>"""
    report = read_report(octets)
    assert report.metadata == Metadata("B\xfccher  Verein", "a@b", "77", 1504742400, 1504828799)
    assert report.policy == PolicyPublished("example.org", adkim="s")
    assert report.records == (
        Record(
            "192.0.2.1", 2, "none", "fail", "pass", "example.org", spf_result=SpfSeen("example.org", "mfrom", "pass")
        ),
        Record("", 0, "", "", "", ""),
    )
    assert report.messages == 2


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = [
    b"",
    b"PK\x03\x04",
    b"<feedback>",
    b"<feedback/>",
    b"<html><body/></html>",
    b"\xff\xfe<\x00",
    f'<!DOCTYPE feedback [<!ENTITY l0 "ha">{LAUGHS}]><feedback>&l9;</feedback>'.encode(),
    b'<!DOCTYPE feedback SYSTEM "file:///etc/passwd"><feedback/>',
    b'<!DOCTYPE f [<!ENTITY e SYSTEM "file:///etc/passwd">]><feedback>&e;</feedback>',
    b"<feedback>&unknown;</feedback>",
    b"<feedback>" + b"<a>" * 100_000,
    b"<feedback xmlns:x='u'>" + b"<x:a>" * 100,
    b"<feedback>" + b"<a/>" * 1_000_001 + b"</feedback>",
    b'<feedback a="' + b"x" * 20_000 + b'"/>',
    b"<feedback" + b"".join(b" a%d='>'" % number for number in range(10_000)) + b"/>",
    "<?xml version='1.0' encoding='utf-16'?><feedback/>".encode("utf-16"),
    b'<?xml version="1.0" encoding="cp037"?><feedback/>',
    b'<?xml version="1.0" encoding="no-such"?><feedback/>',
    b'<?xml version="1.0" encoding="utf-7"?><feedback/>',
    b'<?xml version="1.0" encoding="zlib"?><feedback/>',
    b'<?xml version="1.0" encoding="idna"?><feedback/>',
]


@pytest.mark.parametrize("octets", HOSTILE, ids=lambda octets: octets[:30].decode("latin-1"))
def test_what_is_no_report_is_refused(octets):
    with pytest.raises(GrammarError):
        read_report(octets)


@given(st.binary(max_size=200))
def test_garbage_in_a_report_raises_nothing_else(garbage):
    octets = write_report(REPORT)
    for at in (0, len(octets) // 2):
        try:
            read_report(octets[:at] + garbage + octets[at:])
        except GrammarError:
            continue


@pytest.mark.parametrize(
    "octets",
    [
        b"<feedback xmlns='" + b"x" * 15_000 + b"'>" + b"<a/>" * 999_000,
        b"<feedback xmlns='" + b"x" * 200 + b"'>" + b"<a/>" * 999_000,
        b"<feedback xmlns:x='"
        + b"x" * 200
        + b"'>"
        + (b"<a " + b"".join(b" x:a%d=''" % n for n in range(1200)) + b"/>") * 800,
        b"<feedback>" + b"&lt;\n" * 3_000 + b"<a>" + b"<!-- - -->" * 500_000,
        b"<feedback>" + (b"<a " + b"".join(b" a%d=''" % n for n in range(1500)) + b"/>") * 800,
        b"<" * 10_000_000,
        b"<feedback " + b" " * 20_000_000,
    ],
    ids=lambda octets: octets[:20].decode(),
)
def test_no_document_takes_long(octets):
    began = time.process_time()
    with pytest.raises(GrammarError):
        read_report(octets)
    assert time.process_time() - began < 20.0, "far more than it takes"


def test_texts_and_lists_are_bounded(monkeypatch):
    monkeypatch.setattr(aggregate_xml, "_MAX_SIGNATURES", 1)
    monkeypatch.setattr(aggregate_xml, "_MAX_REASONS", 0)
    metadata = Metadata("x" * 10_000, "", "", 0, 0)
    report = read_report(write_report(AggregateReport(metadata, REPORT.policy, REPORT.records)))
    assert len(report.metadata.organization) == aggregate_xml.MAX_TEXT
    assert len(report.records[0].dkim_results) == 1
    assert report.records[0].reasons == ()
