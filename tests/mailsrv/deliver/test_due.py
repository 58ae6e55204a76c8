"""Which report is due: who gets which one and when, and never one twice or for a report."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.config.schema import Config, QueueConfig, ReportsConfig
from mailsrv.deliver.due import (
    ReportSettings, find_due, next_delay_report, onward_request, read_settings, restore_report,
)  # fmt: skip
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import DsnRequest, Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status

RECEIVED = 1_700_000_000.0
SETTINGS = ReportSettings("mx.sender.example")
SUCCESS, FAILURE, DELAY, NEVER = "SUCCESS", "FAILURE", "DELAY", "NEVER"


def envelope(*requests, sender="anna", originals=None):
    recipients = tuple(
        Recipient(Address(f"r{n}", "remote.example"), DsnRequest(notify), originals[n] if originals else None)
        for n, notify in enumerate(requests)
    )
    path = Address(sender, "sender.example") if sender else None
    return Envelope("q1", RECEIVED, path, recipients)


def outcomes(*statuses):
    codes = {Status.FAILED: "5.1.1", Status.DELAYED: "4.4.1"}
    return {
        n: Outcome(n, status, codes.get(status, "2.0.0"), "", "", RECEIVED + 1)
        for n, status in enumerate(statuses)
        if status is not None
    }


def due(sent, statuses, *, reported=(), age=10.0, settings=SETTINGS, passed_on=()):
    return find_due(sent, outcomes(*statuses), reported, RECEIVED + age, settings, passed_on)


def named(kind, *recipients):
    return SimpleNamespace(kind=kind, recipients=recipients)


# ---- NOTIFY: RFC 3461 sections 4.1 and 5.2 ----

WORDS = [(), (NEVER,), *(words for size in (1, 2, 3) for words in combinations((SUCCESS, FAILURE, DELAY), size))]


@pytest.mark.parametrize("notify", WORDS)
def test_notify(notify):
    sent = envelope(notify)
    asked = notify or (FAILURE, DELAY)
    assert (due(sent, [Status.FAILED]) is not None) == (FAILURE in asked)
    assert (due(sent, [Status.DELIVERED]) is not None) == (SUCCESS in asked)
    assert (due(sent, [Status.RELAYED]) is not None) == (SUCCESS in asked)
    assert (due(sent, [Status.EXPANDED]) is not None) == (SUCCESS in asked)
    assert (due(sent, [Status.DELAYED], age=14_400) is not None) == (DELAY in asked)
    assert due(sent, [Status.DELAYED], age=14_399) is None
    assert (next_delay_report(sent, SETTINGS) > 0) == (DELAY in asked)


@pytest.mark.parametrize("status", Status)
def test_no_report_for_a_report(status):
    sent = envelope((SUCCESS, FAILURE, DELAY), sender=None)
    assert due(sent, [status], age=20_000) is None
    assert next_delay_report(sent, SETTINGS) == 0


def test_only_who_asked_is_named():
    sent = envelope((FAILURE,), (NEVER,), (), (SUCCESS,), (DELAY,))
    report = due(sent, [Status.FAILED] * 5)
    assert (report.kind, report.recipients) == (Kind.FAILED, (0, 2))


def test_nothing_is_due_before_there_is_an_outcome():
    assert due(envelope((), ()), [None, None], age=20_000) is None
    assert due(envelope((), ()), [Status.DELAYED, Status.RELAYED]) is None


def test_one_report_of_each_kind_until_none_is_due():
    sent = envelope((), (SUCCESS,), (), ())
    statuses = [Status.FAILED, Status.RELAYED, Status.DELAYED, Status.FAILED]
    reported, seen = [], []
    while report := due(sent, statuses, reported=reported, age=20_000):
        seen.append((report.kind, report.recipients))
        assert restore_report(sent, outcomes(*statuses), report) == report
        reported.append(report)
    assert seen == [(Kind.FAILED, (0, 3)), (Kind.SUCCEEDED, (1,)), (Kind.DELAYED, (2,))]


def test_a_later_failure_gets_its_own_report():
    sent = envelope((), ())
    report = due(sent, [Status.FAILED, Status.FAILED], reported=[named(Kind.FAILED, 0)])
    assert report.recipients == (1,)


def test_a_delay_is_reported_once_per_message_and_a_failure_after_it():
    sent = envelope((), ())
    before = [named(Kind.DELAYED, 0)]
    assert due(sent, [Status.DELAYED, Status.DELAYED], reported=before, age=50_000) is None
    assert due(sent, [Status.FAILED, Status.DELAYED], reported=before, age=50_000).recipients == (0,)


def test_what_is_not_so_is_not_restored():
    sent = envelope((), ())
    assert restore_report(sent, outcomes(Status.FAILED, Status.DELAYED), named(Kind.DELAYED, 0)) is None
    assert restore_report(sent, {}, named(Kind.FAILED, 0, 1)) is None
    assert restore_report(sent, outcomes(Status.FAILED, Status.FAILED), named(Kind.FAILED, 1)).recipients == (1,)


def test_delay_reports_can_be_turned_off_and_stop_when_attempts_do():
    off = replace(SETTINGS, delay_report_seconds=0)
    assert due(envelope(()), [Status.DELAYED], age=20_000, settings=off) is None
    assert next_delay_report(envelope(()), off) == 0
    assert due(envelope(()), [Status.DELAYED], age=432_000) is None
    assert next_delay_report(envelope(()), SETTINGS) == RECEIVED + 14_400


def test_a_host_that_offers_dsn_confirms_by_itself():
    sent = envelope((SUCCESS,), (SUCCESS,), (SUCCESS,))
    statuses = [Status.RELAYED, Status.RELAYED, Status.DELIVERED]
    assert due(sent, statuses, passed_on=[0, 2]).recipients == (1, 2)
    assert due(sent, [Status.RELAYED, None, None], passed_on=[0]) is None


# ---- aliases: RFC 3461 section 5.2.7.3 ----

TEAM = Address("team", "sender.example")
WORD_OF = {Kind.FAILED: FAILURE, Kind.DELAYED: DELAY, Kind.SUCCEEDED: SUCCESS}


def test_an_alias_of_several_is_expanded_once():
    sent = envelope((SUCCESS,), (SUCCESS,), (SUCCESS,), originals=[TEAM, None, replace(TEAM, local_part="Team")])
    assert due(sent, [Status.DELAYED, None, None]) is None
    report = due(sent, [Status.DELAYED, None, Status.RELAYED])
    assert restore_report(sent, outcomes(Status.DELAYED, None, Status.RELAYED), named(Kind.SUCCEEDED, 0)) == report
    assert [(one.recipient, one.status, one.dsn) for one in report.outcomes] == [(0, Status.EXPANDED, "2.1.5")]
    before = [named(Kind.SUCCEEDED, 0)]
    assert due(sent, [Status.RELAYED, None, Status.RELAYED], reported=before) is None
    assert due(sent, [Status.RELAYED, Status.RELAYED, Status.RELAYED], reported=before).recipients == (1,)


def test_an_alias_of_one_is_reported_like_any_address():
    sent = envelope((SUCCESS,), originals=[TEAM])
    assert due(sent, [Status.RELAYED]).outcomes[0].status is Status.RELAYED
    assert onward_request(sent, 0).notify == (SUCCESS,)


@pytest.mark.parametrize(
    ("asked", "onward"),
    [
        ((SUCCESS,), (NEVER,)),
        ((SUCCESS, FAILURE), (FAILURE,)),
        ((SUCCESS, FAILURE, DELAY), (FAILURE, DELAY)),
        ((FAILURE,), (FAILURE,)),
        ((NEVER,), (NEVER,)),
        ((), ()),
    ],
)
def test_members_of_an_alias_are_not_asked_to_confirm(asked, onward):
    sent = envelope(asked, asked, originals=[TEAM, TEAM])
    assert onward_request(sent, 1) == DsnRequest(onward)
    assert onward_request(envelope(asked, asked), 1) == DsnRequest(asked)


def test_the_configuration_has_its_say():
    assert read_settings(Config("mx.sender.example", "/data")) == replace(SETTINGS, template_dir="/data/templates")
    reports = ReportsConfig(["de", "en"], "/words", "post", "help@sender.example", 1000)
    queue = QueueConfig(give_up_seconds=7200, delay_report_seconds=60)
    config = Config("mx.sender.example", "/data", queue=queue, reports=reports)
    assert read_settings(config) == ReportSettings(
        "mx.sender.example", ("de", "en"), "/words", "post", "help@sender.example", 60, 7200, 1000
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(WORDS),
            st.sampled_from([None, *Status]),
            st.sampled_from([None, TEAM, Address("all", "sender.example")]),
        ),
        max_size=6,
    ),
    st.sets(st.integers(0, 5)),
    st.sampled_from([0.0, 14_400.0, 500_000.0]),
)
def test_nobody_is_told_twice_or_unasked(rows, passed_on, age):
    asked, statuses, originals = zip(*rows, strict=True) if rows else ((), (), ())
    sent = envelope(*asked, originals=originals)
    reported = []
    while report := due(sent, statuses, reported=reported, age=age, passed_on=passed_on):
        assert report.kind not in [before.kind for before in reported]  # one report tells all of a kind
        assert len(set(report.recipients)) == len(report.recipients)
        for index in report.recipients:
            assert WORD_OF[report.kind] in (asked[index] or (FAILURE, DELAY))
        assert restore_report(sent, outcomes(*statuses), report) == report
        reported.append(report)
    failed = {n for n, status in enumerate(statuses) if status is Status.FAILED and FAILURE in (asked[n] or (FAILURE,))}
    assert failed == {n for report in reported if report.kind is Kind.FAILED for n in report.recipients}
