"""How a DNS list is written."""

import pytest

from mailsrv.config.zones import MAX_ZONE, Zone, parse_zone
from mailsrv.errors import GrammarError


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("bl.example.org", Zone("bl.example.org")),
        ("BL.Example.ORG", Zone("bl.example.org")),
        ("bl.bücher.example", Zone("bl.xn--bcher-kva.example")),
        ("bl.example.org=127.0.0.2", Zone("bl.example.org", (((127, 127), (0, 0), (0, 0), (2, 2)),))),
        (
            "bl.example.org=127.0.0.2, 127.0.[0..3].[10..11]",
            Zone("bl.example.org", (
                ((127, 127), (0, 0), (0, 0), (2, 2)),
                ((127, 127), (0, 0), (0, 3), (10, 11)),
            )),
        ),
    ],
)  # fmt: skip
def test_what_is_a_zone(text: str, zone: Zone) -> None:
    assert parse_zone(text) == zone


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "full domain name"),
        ("org", "has no dot"),
        ("192.0.2.1", "ends in a number"),
        ("bl..example.org", "full domain name"),
        ("bl.example.org.", "full domain name"),
        (".".join(["a" * 60] * 4), f"longer than {MAX_ZONE} octets"),
        ("bl.example.org=", "must be like 127.0.0.2"),
        ("bl.example.org=127.0.0.2,", "must be like 127.0.0.2"),
        ("bl.example.org=127.0.0.x", "must be like 127.0.0.2"),
        ("bl.example.org=127.0.0.2=127.0.0.3", "must be like 127.0.0.2"),
        ("bl.example.org=127.0.0.256", "0 to 255"),
        ("bl.example.org=127.0.0.[5..2]", "ascending"),
        ("bl.example.org=192.0.2.1", "must begin with 127."),
        ("bl.example.org=[0..255].0.0.2", "must begin with 127."),
        ("bl.example.org=127.255.255.254", "errors"),
    ],
)
def test_what_is_none(text: str, complaint: str) -> None:
    with pytest.raises(GrammarError, match=complaint.replace(".", r"\.")):
        parse_zone(text)


@pytest.mark.parametrize(
    ("zone", "answer", "counts"),
    [
        ("bl.example.org", "127.0.0.2", True),
        ("bl.example.org", "127.9.9.9", True),
        ("bl.example.org", "127.0.0.1", False),  # "you are refused" at some lists, and section 5: never listed
        ("bl.example.org", "127.255.255.254", False),
        ("bl.example.org", "192.0.2.1", False),
        ("bl.example.org=127.0.0.1", "127.0.0.1", True),
        ("bl.example.org=127.0.0.[2..4],127.0.1.9", "127.0.0.4", True),
        ("bl.example.org=127.0.0.[2..4],127.0.1.9", "127.0.0.5", False),
        ("bl.example.org=127.0.0.[2..4],127.0.1.9", "127.0.1.9", True),
        ("bl.example.org=127.[0..255].[0..255].[0..255]", "127.255.255.252", False),
    ],
)
def test_which_answers_count(zone: str, answer: str, counts: bool) -> None:
    assert parse_zone(zone).counts(answer) is counts
