"""Where a session stands."""

import pytest

from mailsrv.imap.situation import Limits, Offer, Situation, State


@pytest.mark.parametrize(
    ("enabled", "utf8", "uid_only"),
    [((), False, False), (("IMAP4REV2",), True, False), (("UTF8=ACCEPT",), True, False), (("UIDONLY",), False, True)],
)
def test_what_is_enabled_decides(enabled: tuple[str, ...], utf8: bool, uid_only: bool) -> None:
    situation = Situation(Limits(), Offer(), enabled=set(enabled))
    assert (situation.utf8, situation.uid_only) == (utf8, uid_only)


def test_login() -> None:
    for state in State:
        situation = Situation(Limits(), Offer(), state=state)
        assert situation.authenticated == (state in (State.AUTHENTICATED, State.SELECTED))


def test_early_limits_are_smaller() -> None:
    limits = Limits()
    assert limits.early_line < limits.line
    assert limits.early_literal < limits.literal <= limits.command
    assert limits.early_literal < limits.early_command < limits.command
    assert limits.early_discard < limits.discard
    assert limits.message_size <= limits.discard, "a message that floor 4 refuses must be skipped, not end the session"
