import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.system.proxy import NEED_MORE, V1_OCTETS, V2_OCTETS, Proxied, parse_proxy

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command=0x21, family=0x11, payload=b"", length=None):
    length = len(payload) if length is None else length
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big") + payload


def packed(client, server, client_port, server_port):
    addresses = b"".join(ipaddress.ip_address(text).packed for text in (client, server))
    return addresses + client_port.to_bytes(2, "big") + server_port.to_bytes(2, "big")


V4 = packed("192.0.2.7", "198.51.100.1", 40001, 25)
V6 = packed("2001:db8::7", "2001:db8::1", 40001, 25)

GOOD = {
    "v1 tcp4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 25\r\n", ("192.0.2.7", 40001, "198.51.100.1", 25)),
    "v1 tcp6": (b"PROXY TCP6 2001:DB8:0::7 2001:db8::1 40001 25\r\n", ("2001:db8::7", 40001, "2001:db8::1", 25)),
    "v1 mapped": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", ("192.0.2.7", 1, "::1", 2)),
    "v1 extreme ports": (b"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n", ("192.0.2.7", 0, "198.51.100.1", 65535)),
    "v1 longest": (
        b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n",
        ("", 0, "", 0),
    ),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", ("", 0, "", 0)),
    "v2 tcp4": (v2(payload=V4), ("192.0.2.7", 40001, "198.51.100.1", 25)),
    "v2 tcp6": (v2(family=0x21, payload=V6), ("2001:db8::7", 40001, "2001:db8::1", 25)),
    "v2 mapped": (
        v2(family=0x21, payload=packed("::ffff:192.0.2.7", "::1", 1, 2)),
        ("192.0.2.7", 1, "::1", 2),
    ),
    "v2 with TLVs": (v2(payload=V4 + b"\x04\x00\x03abc"), ("192.0.2.7", 40001, "198.51.100.1", 25)),
    "v2 longest": (v2(payload=V4 + bytes(V2_OCTETS - 28)), ("192.0.2.7", 40001, "198.51.100.1", 25)),
    "v2 local": (v2(command=0x20, family=0x00), ("", 0, "", 0)),
    "v2 local with addresses": (v2(command=0x20, payload=V4), ("", 0, "", 0)),
    "v2 unspecified": (v2(family=0x00, payload=b"abc"), ("", 0, "", 0)),
    "v2 unix": (v2(family=0x31, payload=bytes(216)), ("", 0, "", 0)),
}

BAD = {
    "smtp": b"EHLO client\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01",
    "lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 endless": b"PROXY UNKNOWN " + b"x" * V1_OCTETS,
    "v1 one octet too long": b"PROXY UNKNOWN " + b"x" * (V1_OCTETS - 15) + b"\r\n",
    "v1 udp": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 wrong family": b"PROXY TCP4 2001:db8::1 198.51.100.1 1 2\r\n",
    "v1 two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 missing port": b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
    "v1 more": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "v1 leading zero": b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
    "v1 port with zero": b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    "v1 high port": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "v1 signed port": b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
    "v1 zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "v1 8-bit": b"PROXY TCP4 192.0.2.\xff 198.51.100.1 1 2\r\n",
    "v1 NUL": b"PROXY TCP4 192.0.2.7\x00 198.51.100.1 1 2\r\n",
    "v1 bare LF": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n" + b"x" * V1_OCTETS,
    "v2 version 1": v2(command=0x11, payload=V4),
    "v2 unknown command": v2(command=0x22, payload=V4),
    "v2 datagram": v2(family=0x12, payload=V4),
    "v2 unassigned family": v2(family=0x41, payload=V4),
    "v2 too short": v2(payload=V4[:-1]),
    "v2 too short for IPv6": v2(family=0x21, payload=V4),
    "v2 too long": v2(length=V2_OCTETS - 15),
    "v2 longest there is": v2(length=65535),
    "v2 broken signature": SIGNATURE[:-1] + b"\r\x21\x11\x00\x0c" + V4,
}


@pytest.mark.parametrize(("octets", "expected"), GOOD.values(), ids=GOOD)
def test_good_headers_are_read_at_every_split(octets, expected):
    result = Proxied(*expected, consumed=len(octets))
    assert parse_proxy(octets) == result
    assert parse_proxy(octets + b"EHLO x\r\n" * 200) == result
    for cut in range(len(octets)):
        assert parse_proxy(octets[:cut]) is NEED_MORE


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_bad_headers_are_refused_at_every_split(octets):
    with pytest.raises(GrammarError):
        parse_proxy(octets)
    for cut in range(len(octets)):
        try:
            assert parse_proxy(octets[:cut]) is NEED_MORE
        except GrammarError:
            break


def feed(octets):
    """What a connection sees that gets one octet more at a time."""
    for end in range(len(octets) + 1):
        try:
            result = parse_proxy(octets[:end])
        except GrammarError:
            return GrammarError
        if result is not NEED_MORE:
            return result
    return NEED_MORE


@given(
    st.one_of(
        st.binary(max_size=64),
        st.binary(max_size=128).map(lambda tail: b"PROXY " + tail),
        st.binary(max_size=128).map(lambda tail: b"PROXY TCP4 " + tail + b"\r\n"),
        st.binary(max_size=300).map(lambda tail: SIGNATURE + tail),
        st.builds(v2, st.sampled_from([0x20, 0x21]), st.integers(0, 255), st.binary(max_size=60)),
    )
)
def test_hostile_octets_give_nothing_but_a_grammar_error_and_the_same_at_every_split(octets):
    try:
        whole = parse_proxy(octets)
    except GrammarError:
        whole = GrammarError
    assert feed(octets) == whole


def test_waiting_is_bounded():
    assert parse_proxy(b"PROXY " + b"x" * (V1_OCTETS - 7)) is NEED_MORE
    assert parse_proxy(v2(payload=V4, length=V2_OCTETS - 16)) is NEED_MORE
