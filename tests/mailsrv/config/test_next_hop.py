"""The forms of a next hop; tests/cases/config/83-next-hops has the complaints as the operator sees them."""

import pytest

from mailsrv.config.next_hop import SOCKET_PATH, HopAddress, parse_next_hop
from mailsrv.errors import GrammarError


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("direct", HopAddress("direct")),
        ("smtp:relay.example", HopAddress("smtp", "relay.example")),
        ("smtp:Relay.EXAMPLE:587", HopAddress("smtp", "relay.example", 587)),
        ("smtp:bücher.example:25", HopAddress("smtp", "xn--bcher-kva.example", 25)),
        ("smtp:localhost:25", HopAddress("smtp", "localhost", 25)),
        ("smtp:192.0.2.1", HopAddress("smtp", "192.0.2.1")),
        ("smtp:[192.0.2.1]:2525", HopAddress("smtp", "192.0.2.1", 2525)),
        ("smtp:[2001:DB8:0::1]:65535", HopAddress("smtp", "2001:db8::1", 65535)),
        ("mx:relay.example", HopAddress("mx", "relay.example")),
        ("mx:relay.example:26", HopAddress("mx", "relay.example", 26)),
        ("lmtp:127.0.0.1:24", HopAddress("lmtp", "127.0.0.1", 24)),
        ("lmtp:/run/x y", HopAddress("lmtp", path="/run/x y")),
    ],
)
def test_forms(text: str, hop: HopAddress) -> None:
    assert parse_next_hop(text) == hop


def test_ip_addresses_are_told_from_names() -> None:
    assert [HopAddress("smtp", host).is_ip for host in ("192.0.2.1", "2001:db8::1", "a.example", "")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "Direct", "direct:", "smtp", "smtp:", "smtp::25", "smtps:a.example", "local", "a.example:25"),
        *("smtp:a.example:", "smtp:a.example:0", "smtp:a.example:65536", "smtp:a.example:123456", "smtp:a.example:x"),
        *("smtp:::1", "smtp:[::1", "smtp:[fe80::1%eth0]:25", "smtp:[a.example]:25", "smtp:1.2.3", "smtp:a..b"),
        *("mx:192.0.2.1", "mx:[::1]", "mx:/run/x", "smtp:/run/x"),
        *("lmtp:a.example", "lmtp:a.example:25", "lmtp:/a\0b", "lmtp:/" + "x" * SOCKET_PATH),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(GrammarError):
        parse_next_hop(text)


def test_the_longest_path() -> None:
    assert parse_next_hop("lmtp:/" + "x" * (SOCKET_PATH - 1)).path
