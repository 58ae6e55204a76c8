"""The milter protocol's octets (versions 2 to 6, as libmilter speaks it): packets to a milter, its replies as values.

A packet is its length (4 octets, network order), one octet that says what it is, and data; texts end with NUL. Nothing
here connects or decides.

Diagnostics: PacketFault when a milter sends what is no packet, or one with other data than its kind has.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag

from mailsrv.errors import MailsrvError

VERSION = 6
OLDEST = 2
DATA_SINCE = 4  # the version that knows the command DATA
CHUNK = 65_535  # octets of data in one packet: libmilter hangs up on more
_MAX_NAME = 998  # octets of a field's name: those of a line
PACKET_LIMIT = 1 << 20  # octets of a packet that is received

_LENGTH = struct.Struct(">I")
_OPTIONS = struct.Struct(">III")


class PacketFault(MailsrvError):
    """This is not the milter protocol. The text is a clause."""


class Command(Enum):
    """What a milter is told (SMFIC)."""

    OPTIONS = b"O"
    MACROS = b"D"
    CONNECT = b"C"
    HELO = b"H"
    MAIL = b"M"
    RCPT = b"R"
    DATA = b"T"
    HEADER = b"L"
    END_OF_HEADER = b"N"
    BODY = b"B"
    END_OF_MESSAGE = b"E"
    QUIT = b"Q"


class Kind(Enum):
    """What a milter answers (SMFIR)."""

    OPTIONS = b"O"
    CONTINUE = b"c"
    ACCEPT = b"a"
    REJECT = b"r"
    TEMPFAIL = b"t"
    DISCARD = b"d"
    REPLY_CODE = b"y"
    CONNECTION_FAILURE = b"f"
    SHUTDOWN = b"4"
    SKIP = b"s"
    PROGRESS = b"p"
    QUARANTINE = b"q"
    ADD_FIELD = b"h"
    INSERT_FIELD = b"i"
    CHANGE_FIELD = b"m"
    REPLACE_BODY = b"b"
    ADD_RECIPIENT = b"+"
    ADD_RECIPIENT_WITH = b"2"
    DELETE_RECIPIENT = b"-"
    CHANGE_SENDER = b"e"


class Steps(IntFlag):
    """Which commands a milter does not want, or does not answer (SMFIP)."""

    NO_CONNECT = 0x1
    NO_HELO = 0x2
    NO_MAIL = 0x4
    NO_RCPT = 0x8
    NO_BODY = 0x10
    NO_HEADER = 0x20
    NO_END_OF_HEADER = 0x40
    SILENT_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    REFUSED_RCPT = 0x800
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADER = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000


ALL_STEPS = Steps(0x1FFFFF)
# A milter ends the conversation when it is not offered an action that it may want (SMFIF). Every one is offered; what
# becomes of each is not the protocol's concern.
ALL_ACTIONS = 0x1FF


@dataclass(frozen=True, slots=True)
class Options:
    """The outcome of the negotiation."""

    version: int
    steps: Steps


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that was received."""

    kind: Kind
    data: bytes


def encode(command: Command, data: bytes = b"") -> bytes:
    """A packet."""
    return _LENGTH.pack(len(data) + 1) + command.value + data


def texts(*words: str) -> bytes:
    """Texts one after the other, each with its NUL."""
    return b"".join(word.replace("\0", "?").encode("utf-8", "replace") + b"\0" for word in words)


def encode_options() -> bytes:
    """The beginning of the negotiation: what we know, and that every action and step is understood."""
    return encode(Command.OPTIONS, _OPTIONS.pack(VERSION, ALL_ACTIONS, ALL_STEPS))


def encode_macros(command: Command, macros: Sequence[tuple[str, str]]) -> bytes:
    """The macros that come before a command; those without a value are left out, names of several characters get their
    braces."""
    words = [word for name, value in macros if value for word in (name if len(name) == 1 else f"{{{name}}}", value)]
    return encode(Command.MACROS, command.value + texts(*words)) if words else b""


def encode_connect(name: str, address: str) -> bytes:
    """The client: host name, and IP address as text ("" or anything else: of a family that is not known)."""
    if ":" in address:
        family = b"6"
    elif address.count(".") == 3:
        family = b"4"
    else:
        return encode(Command.CONNECT, texts(name) + b"U")
    return encode(Command.CONNECT, texts(name) + family + b"\0\0" + texts(address))


def encode_field(name: bytes, value: bytes, leading_space: bool) -> bytes:
    """A header field. Folds are line feeds here; the space behind the colon stays where the milter has asked for it.
    What one packet cannot hold is cut, since a milter that hangs up judges nothing."""
    value = value.replace(b"\r\n", b"\n").replace(b"\0", b"")
    if not leading_space:
        value = value.removeprefix(b" ")
    name = name[:_MAX_NAME]
    return encode(Command.HEADER, name + b"\0" + value[: CHUNK - len(name) - 2] + b"\0")


def encode_body(blocks: Iterable[bytes]) -> Iterable[bytes]:
    """The body in packets."""
    for block in blocks:
        for start in range(0, len(block), CHUNK):
            yield encode(Command.BODY, block[start : start + CHUNK])


class PacketReader:
    """Takes octets as they come and gives packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> None:
        """Take what was received."""
        self._buffer += octets

    def next_packet(self) -> Packet | None:
        """The next packet, None when it is not there yet. Raises PacketFault."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if not 1 <= length <= PACKET_LIMIT:
            raise PacketFault(f"a packet of {length} octets")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        octets = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        try:
            return Packet(Kind(octets[:1]), octets[1:])
        except ValueError:
            raise PacketFault(f"a reply of the unknown kind {octets[:1]!r}") from None


def read_options(packet: Packet) -> Options:
    """The milter's side of the negotiation. What it has never been offered is left out. Raises PacketFault."""
    if packet.kind is not Kind.OPTIONS or len(packet.data) < _OPTIONS.size:
        raise PacketFault("no answer to the negotiation")
    version, _actions, steps = _OPTIONS.unpack_from(packet.data)
    if not OLDEST <= version <= VERSION:
        raise PacketFault(f"the protocol's version {version}")
    return Options(version, Steps(steps & ALL_STEPS))


def read_texts(data: bytes, count: int) -> list[str]:
    """The first `count` texts in the data. Raises PacketFault when there are fewer."""
    words = data.split(b"\0", count)
    if len(words) <= count:
        raise PacketFault("a text without end")
    return [word.decode("utf-8", "replace") for word in words[:count]]


def read_field(packet: Packet) -> tuple[str, str]:
    """Name and value of ADD_FIELD or INSERT_FIELD. Raises PacketFault."""
    data = packet.data
    if packet.kind is Kind.INSERT_FIELD:
        if len(data) < _LENGTH.size:
            raise PacketFault("a field without place")
        data = data[_LENGTH.size :]
    name, value = read_texts(data, 2)
    return name, value


def read_reply_code(packet: Packet) -> tuple[int, str, str]:
    """Code, enhanced status code ("" without one) and text of REPLY_CODE. Raises PacketFault."""
    (line,) = read_texts(packet.data, 1)
    code, _, rest = line.partition(" ")
    # Of several lines the first one counts; each begins with the code, and but for the last one a hyphen.
    if line[3:4] == "-":
        code, rest = line[:3], line[4:].partition("\r\n")[0].partition("\n")[0]
    if len(code) != 3 or not code.isascii() or not code.isdigit() or code[0] not in "45":
        raise PacketFault("a reply code that is none")
    enhanced, _, text = rest.partition(" ")
    parts = enhanced.split(".")
    digits = all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts)
    if len(parts) != 3 or not digits or parts[0] != code[0]:
        return int(code), "", rest
    return int(code), enhanced, text
