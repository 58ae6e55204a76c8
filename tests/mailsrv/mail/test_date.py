"""Dates of RFC 5322."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datetime import datetime

from mailsrv.mail.date import format_date


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
        (1_700_000_000.999, "Tue, 14 Nov 2023 22:13:20 +0000"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
    ],
)
def test_known_moments(moment: float, text: str) -> None:
    assert format_date(moment) == text
    assert format_date(moment) == text  # the second time from memory


@given(st.integers(0, 253_402_300_799))
def test_every_moment_can_be_read_back(moment: int) -> None:
    text = format_date(moment)
    assert datetime.strptime(text, "%a, %d %b %Y %H:%M:%S %z").timestamp() == moment
