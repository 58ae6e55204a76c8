"""Outcomes: only a delay leaves a recipient open."""

from mailsrv.mail.outcome import Outcome, Status


def test_only_delayed_is_not_final() -> None:
    assert [status for status in Status if not status.is_final] == [Status.DELAYED]


def test_the_words_are_those_of_rfc_3464() -> None:
    assert {status.value for status in Status} == {"delivered", "relayed", "expanded", "delayed", "failed"}


def test_an_outcome_is_a_value() -> None:
    assert Outcome(0, Status.FAILED, "5.1.1", "no such user") == Outcome(0, Status.FAILED, "5.1.1", "no such user")
