"""Addresses in From and Sender."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail.mailboxes import parse_mailboxes

GOOD = [
    (b" alice@example.org", ["alice@example.org"]),
    (b" Alice <alice@example.org>", ["alice@example.org"]),
    (b' "Doe, Alice" <alice@example.org>, bob@example.org', ["alice@example.org", "bob@example.org"]),
    (b" Alice (the (real) one) <alice@example.org> (home)", ["alice@example.org"]),
    (b" =?utf-8?q?B=C3=BCcher?= <b@example.org>", ["b@example.org"]),
    (b" B\xc3\xbccher <b@example.org>", ["b@example.org"]),
    (b" B\xfccher <b@example.org>", ["b@example.org"]),
    (b" A. Doe <alice@example.org>", ["alice@example.org"]),
    (b" alice @ example . org", ["alice@example.org"]),
    (b' "a b"@example.org', ['"a b"@example.org']),
    (b' "a@b"@example.org', ['"a@b"@example.org']),
    (b" a@[192.0.2.1]", ["a@[192.0.2.1]"]),
    (b" Alice\r\n <alice@example.org>", ["alice@example.org"]),
    (b" <@relay.example:alice@example.org>", ["alice@example.org"]),
    (b" Team: alice@example.org, Bob <bob@example.org>;", ["alice@example.org", "bob@example.org"]),
    (b" undisclosed:;", []),
    (b" ,alice@example.org,,", ["alice@example.org"]),
    (b"", []),
    (b' "\\"x\\"" <alice@example.org>', ["alice@example.org"]),
    (b" (a\\)b) alice@example.org", ["alice@example.org"]),
]

BAD = [
    b" Alice", b" alice@", b" Doe, Alice <alice@example.org>", b" Alice <alice@example.org",
    b" <alice@example.org> <bob@example.org>", b" <alice@example.org> bob@example.org", b" alice@example.org;",
    b" Team: alice@example.org", b" (open", b' "open', b" a b@example.org", b" <a b@example.org>",
    b" alice@example.org>", b" <>",
    b" Team: Sub: a@example.org;;", b" <alice@example.org>: x;", b" \\", b" <<a@example.org>>",
    b" alice@example.org bob@example.org",
]


@pytest.mark.parametrize(("value", "addresses"), GOOD)
def test_good(value: bytes, addresses: list[str]) -> None:
    assert [str(one) for one in parse_mailboxes(value)] == addresses


@pytest.mark.parametrize("value", BAD)
def test_bad(value: bytes) -> None:
    with pytest.raises(GrammarError):
        parse_mailboxes(value)


@given(st.binary(max_size=120))
def test_garbage_is_refused_or_read(value: bytes) -> None:
    try:
        parse_mailboxes(value)
    except GrammarError as error:
        assert str(error)
