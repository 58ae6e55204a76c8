"""The milter protocol's octets, against octets written by hand."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.receive import milter_packets as packets
from mailsrv.receive.milter_packets import Command, Kind, Packet, PacketFault, PacketReader, Steps

ENCODED = {
    "options": (packets.encode_options(), b"\0\0\0\rO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"),
    "quit": (packets.encode(Command.QUIT), b"\0\0\0\x01Q"),
    "macros": (
        packets.encode_macros(Command.MAIL, [("i", "4xyz"), ("auth_authen", ""), ("mail_addr", "a\0b")]),
        b"\0\0\0\x19DMi\x004xyz\0{mail_addr}\0a?b\0",
    ),
    "no macros": (packets.encode_macros(Command.MAIL, [("auth_authen", "")]), b""),
    "IPv4": (packets.encode_connect("mx.example", "192.0.2.1"), b"\0\0\0\x19Cmx.example\x004\0\x00192.0.2.1\0"),
    "IPv6": (packets.encode_connect("[::1]", "::1"), b"\0\0\0\x0eC[::1]\x006\0\0::1\0"),
    "no address": (packets.encode_connect("[local]", ""), b"\0\0\0\x0aC[local]\0U"),
    "field": (packets.encode_field(b"Subject", b" a\r\n\tb\0", False), b"\0\0\0\x0eLSubject\0a\n\tb\0"),
    "field with its space": (packets.encode_field(b"A", b" a", True), b"\0\0\0\x06LA\0 a\0"),
    "field with two spaces": (packets.encode_field(b"A", b"  a", False), b"\0\0\0\x06LA\0 a\0"),
    "body": (b"".join(packets.encode_body([b"ab", b"", b"c"])), b"\0\0\0\x03Bab\0\0\0\x02Bc"),
}


@pytest.mark.parametrize("row", ENCODED)
def test_encoding(row):
    octets, expected = ENCODED[row]
    assert octets == expected


def test_the_body_comes_in_chunks():
    body = bytes(range(256)) * 600
    encoded = list(packets.encode_body([body]))
    assert [struct.unpack(">I", one[:4])[0] for one in encoded] == [65_536, 65_536, len(body) - 2 * 65_535 + 1]
    assert b"".join(one[5:] for one in encoded) == body


def pack(octets):
    return struct.pack(">I", len(octets)) + octets


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(1, 20))
def test_packets_are_read_however_they_come(bodies, size):
    octets = b"".join(pack(b"h" + body) for body in bodies)
    reader = PacketReader()
    found = []
    for at in range(0, len(octets), size):
        reader.feed(octets[at : at + size])
        while (packet := reader.next_packet()) is not None:
            found.append(packet)
    assert found == [Packet(Kind.ADD_FIELD, body) for body in bodies]


@pytest.mark.parametrize("octets", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\x10\0\x01", pack(b"?"), b"HTTP/1.1 400"])
def test_what_is_no_packet(octets):
    reader = PacketReader()
    reader.feed(octets)
    with pytest.raises(PacketFault):
        reader.next_packet()


def options(version=6, actions=0, steps=0):
    return Packet(Kind.OPTIONS, struct.pack(">III", version, actions, steps))


def test_the_negotiation():
    assert packets.read_options(options(6, 0x1, 0x491)) == packets.Options(
        6, Steps.NO_CONNECT | Steps.NO_BODY | Steps.SKIP | Steps.SILENT_HEADER
    )
    assert packets.read_options(options(2, steps=0x40000001)).steps == Steps.NO_CONNECT
    # Behind the flags a milter may list the macros that it wants.
    more = Packet(Kind.OPTIONS, options().data + b"\0\0\0\0i\0")
    assert packets.read_options(more).version == 6


@pytest.mark.parametrize(
    "packet", [options(1), options(7), Packet(Kind.OPTIONS, b"\0" * 11), Packet(Kind.CONTINUE, b"\0" * 12)]
)
def test_no_negotiation(packet):
    with pytest.raises(PacketFault):
        packets.read_options(packet)


def test_fields():
    assert packets.read_field(Packet(Kind.ADD_FIELD, b"X-A\0b c\0")) == ("X-A", "b c")
    assert packets.read_field(Packet(Kind.ADD_FIELD, b"X-A\0\0")) == ("X-A", "")
    assert packets.read_field(Packet(Kind.INSERT_FIELD, b"\0\0\0\x01X-A\0b\xff\0")) == ("X-A", "b\ufffd")


@pytest.mark.parametrize("data", [b"", b"X-A", b"X-A\0", b"X-A\0b"])
@pytest.mark.parametrize("kind", [Kind.ADD_FIELD, Kind.INSERT_FIELD])
def test_fields_without_end(kind, data):
    with pytest.raises(PacketFault):
        packets.read_field(Packet(kind, data))


@pytest.mark.parametrize(
    ("line", "code", "enhanced", "text"),
    [
        ("550 5.7.1 spam", 550, "5.7.1", "spam"),
        ("451 4.7.1 later on", 451, "4.7.1", "later on"),
        ("550 spam", 550, "", "spam"),
        ("550", 550, "", ""),
        ("550 4.7.1 spam", 550, "", "4.7.1 spam"),
        ("550 5.7 spam", 550, "", "5.7 spam"),
        ("550 5.7.\u0661 spam", 550, "", "5.7.\u0661 spam"),
        ("550-5.7.1 first\r\n550 5.7.1 second", 550, "5.7.1", "first"),
    ],
)
def test_reply_codes(line, code, enhanced, text):
    packet = Packet(Kind.REPLY_CODE, line.encode() + b"\0")
    assert packets.read_reply_code(packet) == (code, enhanced, text)


@pytest.mark.parametrize("data", [b"", b"250 ok\0", b"350 ok\0", b"5500 no\0", b"5x0 no\0", b"no\0", b"550 no"])
def test_reply_codes_that_are_none(data):
    with pytest.raises(PacketFault):
        packets.read_reply_code(Packet(Kind.REPLY_CODE, data))


def test_a_long_field_is_cut_to_a_packet():
    for name, value in ((b"A", b"x" * 70_000), (b"A" * 70_000, b"y"), (b"B" * 70_000, b"y" * 70_000)):
        packet = packets.encode_field(name, value, True)
        assert len(packet) <= 4 + 1 + packets.CHUNK
        assert packet.endswith(value[-1:] + b"\0")
