"""Rows: who wants them, what they say of a message, and which reason they give."""

from dataclasses import replace

import pytest

from mailsrv.authn.dmarc_row import (
    LOCAL_POLICY,
    TEST_MODE,
    TRUSTED_FORWARDER,
    DkimSeen,
    Override,
    Passage,
    SpfSeen,
    make_row,
    wants_reports,
)
from mailsrv.authn.findings import (
    ArcFinding,
    DkimFinding,
    DmarcFinding,
    Findings,
    IprevFinding,
    Policy,
    Result,
    SpfFinding,
)

RECORD = "v=DMARC1; p=reject; rua=mailto:d@example.org"
DMARC = DmarcFinding(
    Result.FAIL, "news.example.org", "example.org", "example.org", Policy.REJECT, Policy.REJECT, record=RECORD
)
FINDINGS = Findings(
    "192.0.2.1",
    "mx.example.net",
    SpfFinding(Result.SOFTFAIL, "mailfrom", "bounce.example.net", "x@bounce.example.net"),
    (
        DkimFinding(Result.FAIL, "example.org", "s1"),
        DkimFinding(Result.PASS, "other.example", "s2"),
        DkimFinding(Result.PERMERROR, "", ""),
    ),
    DMARC,
    ArcFinding(Result.NONE),
    IprevFinding(Result.NONE),
)
PASSAGE = Passage(1.5, "ID", "bounce.example.net", "here.example", Policy.REJECT)


def test_a_row_says_what_was_found_and_done():
    row = make_row(FINDINGS, PASSAGE)
    assert row is not None
    assert (row.time, row.id, row.client) == (1.5, "ID", "192.0.2.1")
    assert (row.header_from, row.record_domain, row.record) == ("news.example.org", "example.org", RECORD)
    assert (row.disposition, row.asked, row.spf_aligned, row.dkim_aligned) == ("reject", "reject", "fail", "fail")
    assert row.spf == SpfSeen("bounce.example.net", "mfrom", "softfail")
    assert row.dkim == (DkimSeen("other.example", "s2", "pass"), DkimSeen("example.org", "s1", "fail"))
    assert row.reasons == ()


def test_the_signatures_that_say_most_about_the_author_come_first():
    dkim = tuple(
        DkimFinding(result, domain, "s")
        for result, domain in [
            (Result.FAIL, "news.example.org"),
            (Result.PASS, "other.example"),
            (Result.PASS, "example.org"),
            (Result.PASS, "news.example.org"),
        ]
    )
    dmarc = replace(DMARC, result=Result.PASS, aligned=(("dkim", "example.org"), ("dkim", "news.example.org")))
    row = make_row(replace(FINDINGS, dkim=dkim, dmarc=dmarc), PASSAGE)
    assert row is not None
    assert [(one.domain, one.result) for one in row.dkim] == [
        ("news.example.org", "pass"),
        ("example.org", "pass"),
        ("other.example", "pass"),
        ("news.example.org", "fail"),
    ]
    assert (row.dkim_aligned, row.spf_aligned) == ("pass", "fail")


@pytest.mark.parametrize(
    ("testing", "disposition", "given", "reasons"),
    [
        (False, Policy.REJECT, (), ()),
        (False, Policy.NONE, (), (Override(LOCAL_POLICY),)),
        (True, Policy.QUARANTINE, (), (Override(TEST_MODE),)),
        (True, Policy.NONE, (Override(TRUSTED_FORWARDER, "lists.example"),), None),
    ],
)
def test_whoever_gets_less_than_was_asked_for_has_a_reason(testing, disposition, given, reasons):
    findings = replace(FINDINGS, dmarc=replace(DMARC, testing=testing))
    row = make_row(findings, replace(PASSAGE, disposition=disposition, reasons=given))
    assert row is not None
    assert row.reasons == (given if reasons is None else reasons)


@pytest.mark.parametrize(
    "dmarc",
    [
        replace(DMARC, record="v=DMARC1; p=reject"),
        replace(DMARC, result=Result.TEMPERROR),
        replace(DMARC, result=Result.NONE, record=""),
    ],
)
def test_where_nobody_asks_there_is_no_row(dmarc):
    assert make_row(replace(FINDINGS, dmarc=dmarc), PASSAGE) is None


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ("v=DMARC1; p=none; RUA = mailto:a@b", True),
        ("v=DMARC1;p=none;ruf=mailto:a@b", False),
        ("", False),
        ("v=DMARC1; rua=mailto:a@b;" + "x" * 5000, False),
    ],
)
def test_who_wants_reports(record, wanted):
    assert wants_reports(record) is wanted
