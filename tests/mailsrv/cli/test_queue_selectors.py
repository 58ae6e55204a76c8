"""Selectors: which messages fit, option by option."""

import argparse
from dataclasses import replace

import pytest

from mailsrv.cli.queue_selectors import Selection, add_selectors, error_of, read_age, read_selection, status_of
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.summary import Summary

NOW = 1_800_000_000.0
OUTCOME = Outcome(1, Status.DELAYED, "4.7.1", "450 4.7.1 greylisted", "mx.example [192.0.2.1]", NOW)
SUMMARY = Summary(
    envelope=Envelope(
        "dfrD70rmc1d0", NOW - 3600, parse_address("Ada@example.com"),
        (
            Recipient(parse_address("done@example.org")),
            Recipient(parse_address("bob@sub.example.net"), original=parse_address("list@example.com")),
            Recipient(parse_address("eve@[192.0.2.7]")),
        ),
    ),
    outcomes={0: Outcome(0, Status.RELAYED, "2.0.0", "250 ok"), 1: OUTCOME}, waiting=(1, 2), attempts=1,
    first_attempt=NOW, last_attempt=NOW, next_attempt=NOW + 600, reports=(), notes=(), held=False, claimed=False,
    path="/queue/x", start=10,
)  # fmt: skip


def read(*arguments: str) -> Selection:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_selectors(parser)
    return read_selection(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ("", True),
        ("--id dfrD70rmc1d0", True),
        ("--id dfrD70rmc1d1", False),
        ("--id dfrD70rmc1d1 --id dfrD70rmc1d0", True),
        ("--from ada@example.com", True),
        ("--from ADA@*", True),
        ("--from example.com", True),
        ("--from @example.com", True),
        ("--from xample.com", False),
        ("--from <>", False),
        ("--from bob@example.com --from *da@*", True),
        ("--to bob@sub.example.net", True),
        ("--to list@example.com", True),
        ("--to done@example.org", False),
        ("--to [192.0.2.7]", True),
        ("--to-domain sub.example.net", True),
        ("--to-domain example.net", False),
        ("--to-domain .example.net", True),
        ("--to-domain .sub.example.net", False),
        ("--to-domain example.org", False),
        ("--older 59m", True),
        ("--older 2h", False),
        ("--newer 2h", True),
        ("--newer 59m", False),
        ("--status deferred", True),
        ("--status new --status held", False),
        ("--error GREY", True),
        ("--error ^host.mx", True),
        ("--error 250", False),
        ("--error grey --status held", False),
    ],
)
def test_selectors(arguments: str, fits: bool) -> None:
    selection = read(*arguments.split())
    assert selection.fits(SUMMARY, NOW) == fits
    assert selection.is_everything == (not arguments)


def test_the_null_reverse_path() -> None:
    report = replace(SUMMARY, envelope=replace(SUMMARY.envelope, reverse_path=None))
    assert read("--from", "<>").fits(report, NOW)
    assert not read("--from", "*@*").fits(report, NOW)


def test_international_domains() -> None:
    envelope = replace(SUMMARY.envelope, recipients=(Recipient(Address("x", "B\xfccher.example")),))
    summary = replace(SUMMARY, envelope=envelope, waiting=(0,))
    assert read("--to-domain", "xn--bcher-kva.example").fits(summary, NOW)
    assert read("--to-domain", "b\xfccher.example").fits(summary, NOW)


def test_status_and_error() -> None:
    assert status_of(SUMMARY) == "deferred"
    assert status_of(replace(SUMMARY, outcomes={})) == "new"
    assert status_of(replace(SUMMARY, claimed=True)) == "active"
    assert status_of(replace(SUMMARY, claimed=True, held=True)) == "held"
    assert error_of(OUTCOME) == "host mx.example [192.0.2.1] said: 450 4.7.1 greylisted"
    assert error_of(replace(OUTCOME, host="", reply="no host")) == "4.7.1 no host"


def test_ages() -> None:
    assert [read_age(text) for text in ("5", "5s", "5m", "5h", "5d", "5w")] == [5, 5, 300, 18000, 432000, 3024000]
    for text in ("", "m", "5y", "-5m", "5 m"):
        with pytest.raises(argparse.ArgumentTypeError):
            read_age(text)
