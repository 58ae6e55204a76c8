"""Which capabilities are told when; that each is proven by its dialogs is in tests/cases/test_imap_dialogs."""

from collections.abc import Callable

import pytest

from mailsrv.imap import extensions
from mailsrv.imap.extensions import CAPABILITIES, Capability, told
from mailsrv.imap.situation import Limits, Offer, Situation, State

NAMES = {row.name for row in CAPABILITIES}


def tell(offer: Offer, **more: object) -> list[str]:
    return told(Situation(Limits(), offer, **more)).split()  # type: ignore[arg-type]


def test_before_login() -> None:
    clear = tell(Offer(starttls=True), state=State.NOT_AUTHENTICATED)
    assert {"STARTTLS", "LOGINDISABLED", "IMAP4rev1", "LITERAL+"} <= set(clear)
    secure = tell(Offer(login=True, mechanisms=("PLAIN", "LOGIN")), state=State.NOT_AUTHENTICATED, tls=True)
    assert not {"STARTTLS", "LOGINDISABLED"} & set(secure)
    assert secure[-2:] == ["AUTH=PLAIN", "AUTH=LOGIN"]


def test_after_login() -> None:
    names = tell(Offer(starttls=True, mechanisms=("PLAIN",)), state=State.AUTHENTICATED)
    assert not {"STARTTLS", "LOGINDISABLED", "AUTH=PLAIN", "SASL-IR"} & set(names)


def test_nothing_is_told_that_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        Capability("A"),
        Capability("B", ("b",)),
        Capability("C", ("c",), lambda it: it.compressed),
        Capability("APPENDLIMIT", ("d",), value=lambda it: f"={it.limits.message_size}"),
    )
    monkeypatch.setattr(extensions, "CAPABILITIES", rows)
    assert tell(Offer(), state=State.SELECTED) == ["B", "APPENDLIMIT=50000000"]


def test_every_row_can_be_asked() -> None:
    for row in CAPABILITIES:
        situation = Situation(Limits(), Offer(compress=True), state=State.AUTHENTICATED)
        ask: Callable[[Situation], bool] = row.told
        assert ask(situation) in (True, False)
        assert row.value is None or row.value(situation).startswith("=")


def test_the_names_of_issue_5_are_there_once() -> None:
    assert len(NAMES) == len(CAPABILITIES)
    assert {"QRESYNC", "NOTIFY", "MULTISEARCH", "UIDONLY", "PARTIAL", "PREVIEW", "THREAD=REFERENCES"} <= NAMES
