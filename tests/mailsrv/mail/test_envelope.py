"""The envelope is a value: equal by content, usable as a key, changed by nobody."""

import dataclasses

import pytest

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient

ALICE = Address("alice", "example.org")


def make_envelope() -> Envelope:
    return Envelope("ID", 1_700_000_000.0, None, (Recipient(ALICE, DsnRequest(("NEVER",))),))


def test_equal_by_content() -> None:
    assert make_envelope() == make_envelope()
    assert hash(make_envelope()) == hash(make_envelope())
    assert dataclasses.replace(make_envelope(), reverse_path=ALICE) != make_envelope()


@pytest.mark.parametrize("value", [make_envelope(), make_envelope().recipients[0], DsnRequest(), MailParameters()])
def test_nobody_changes_it(value: object) -> None:
    name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
    assert not hasattr(value, "__dict__")


def test_what_is_absent_has_the_default_of_its_rfc() -> None:
    assert MailParameters() == MailParameters(size=0, body="7BIT", smtputf8=False, ret="", envid="")
    assert DsnRequest() == DsnRequest(notify=(), orcpt="")
    assert Recipient(ALICE) == Recipient(ALICE, DsnRequest(), original=None, account="")
