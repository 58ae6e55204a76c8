"""Patterns of LIST against a plain definition, and that none takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imapd.patterns import _make, _walk, make_matcher


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "a/b", True),
        ("%", "a/b", False),
        ("%", "a", True),
        ("%/%", "a/b", True),
        ("a*", "a/b/c", True),
        ("a%", "ab", True),
        ("a%", "a/b", False),
        ("*b", "a/b", True),
        ("a.b", "axb", False),
        ("inbox", "INBOX", True),
        ("iNb*", "INBOX", True),
        ("%", "INBOX", True),
        ("inbox/*", "INBOX/x", True),
        ("inbox/x", "INBOX/x", True),
        ("Sent", "sent", False),
        ("", "a", False),
        ("*%*/x", "a/b/x", True),
    ],
)
def test_examples(pattern: str, name: str, matches: bool) -> None:
    assert make_matcher(pattern)(name) is matches


@given(st.text("ab/*%", max_size=12), st.text("ab/", max_size=12))
def test_both_ways_are_the_plain_definition(pattern: str, name: str) -> None:
    pattern = re.sub(r"[*%]*\*[*%]*|%+", lambda match: "*" if "*" in match[0] else "%", pattern)
    source = "".join({"*": ".*", "%": "[^/]*"}.get(letter) or re.escape(letter) for letter in pattern)
    wanted = re.fullmatch(source, name) is not None
    assert _walk(pattern, name) is wanted
    assert _make(pattern)(name) is wanted


def test_a_hostile_pattern_takes_no_longer_than_others() -> None:
    matches = make_matcher("%a*" * 300 + "b")
    assert not matches("a" * 512)
