"""SASLprep: the examples of RFC 4013 section 3."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.sasl.saslprep import prepare


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("e\u0301", "\u00e9"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("", ""),
        ("pass word", "pass word"),
    ],
)
def test_prepared(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize(
    "text", ["\u0007", "a\u007f", "\u06271", "\u0627a", "\ud800", "\ue000", "\ufffd", "a\n", "é\u0007", "\U000e0001"]
)
def test_prohibited(text: str) -> None:
    with pytest.raises(GrammarError):
        prepare(text)
