"""How rows become records, and what a report says of the policy."""

from dataclasses import replace

import pytest

from mailsrv.authn.aggregate import PolicyPublished, Record, Tally, describe_policy, tally
from mailsrv.authn.dmarc_row import SpfSeen
from tests.mailsrv.store.test_feedback_lines import ROW


def count(*rows):
    found = Tally()
    for row in rows:
        found.add(row)
    return found


def test_messages_that_look_the_same_are_one_record():
    other = replace(ROW, client="192.0.2.9")
    found = count(other, ROW, replace(ROW, id="another", time=5.0), other, ROW)
    assert [(one.source, one.count) for one in found.records()] == [("192.0.2.1", 3), ("192.0.2.9", 2)]
    assert found.messages == 5
    assert found.last == ROW


def test_each_policy_domain_has_its_own():
    rows = [ROW, replace(ROW, record_domain="bar.example.org"), replace(ROW, header_from="foo.example.org")]
    found = tally(rows)
    assert {domain: len(one.records()) for domain, one in found.items()} == {"example.org": 2, "bar.example.org": 1}


@pytest.mark.parametrize(
    ("aligned", "asked", "disposition", "told"),
    [
        ("pass", "reject", "none", "pass"),
        ("pass", "none", "none", "none"),
        ("fail", "reject", "none", "none"),
        ("fail", "reject", "reject", "reject"),
        ("fail", "quarantine", "quarantine", "quarantine"),
    ],
)
def test_a_disposition_tells_what_a_policy_did(aligned, asked, disposition, told):
    row = replace(ROW, spf_aligned=aligned, dkim_aligned="fail", asked=asked, disposition=disposition)
    record = count(row).records()[0]
    assert record.disposition == told
    assert record.passed is (aligned == "pass")


@pytest.mark.parametrize(
    ("spf", "told"),
    [
        (SpfSeen("mx.example", "helo", "pass"), SpfSeen("mx.example", "mfrom", "pass")),
        (SpfSeen("", "helo", "none"), None),
        (None, None),
    ],
)
def test_spf_has_one_scope(spf, told):
    record = count(replace(ROW, spf=spf)).records()[0]
    assert isinstance(record, Record)
    assert record.spf_result == told


@pytest.mark.parametrize(
    ("record", "policy"),
    [
        ("v=DMARC1", PolicyPublished("d")),
        (
            "v=DMARC1; p=Reject ; rua=mailto:a@b.example;sp = quarantine; np=none; adkim=S; aspf=s; fo=1:d; t=y",
            PolicyPublished("d", "reject", "quarantine", "none", "s", "s", "1:d", "y"),
        ),
        ("v=DMARC1; adkim=x; t=maybe; fo=" + "1:" * 99, PolicyPublished("d")),
        ("torn", PolicyPublished("d")),
    ],
)
def test_what_a_report_says_of_the_policy(record, policy):
    assert describe_policy("d", record) == policy
