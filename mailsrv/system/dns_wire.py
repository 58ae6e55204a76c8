"""DNS messages in octets: the question is written, of a response only what matters here is read (RFC 1035 section 4.1).

Read are the records of the wanted type and the aliases of the answer section, the SOA and NS records of the authority
section and the OPT record; of everything else the length. A type that a hostile server makes up costs nothing, and a
broken record that nobody asked for does no harm, but one on our way spoils the response. TLSA data is taken as it
comes: records that cannot be used have a meaning of their own (RFC 7672 section 2.2). Names, their compression and
their text form are dnspython's.

Diagnostics: `parse_message` raises GrammarError for octets that are no response, or one with too much in it.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dns.exception
import dns.flags
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.wire

from mailsrv.errors import GrammarError
from mailsrv.system.dns_values import MxRecord, TlsaRecord

HEADER = struct.Struct("!HHHHHH")
MAX_RECORDS = 512  # of all sections: what more would cost to read is not worth a name
EDNS_OCTETS = 1232  # fits the least IPv6 MTU: an answer in fragments can be forged

_RECORD = struct.Struct("!HHIH")
_OPT = b"\0" + _RECORD.pack(dns.rdatatype.OPT, EDNS_OCTETS, 0, 0)  # RFC 6891 section 6.1.2
_TTL_LIMIT = 1 << 31  # RFC 2181 section 8: from here on it means 0
_RCODE = 0x000F
_QR_AND_OPCODE = 0xF800
_RESPONSE_TO_QUERY = 0x8000
# FORMERR, SERVFAIL, NOTIMP, REFUSED: the server may have understood too little to repeat the question.
_ERRORS_WITHOUT_QUESTION = {1, 2, 4, 5}
_ALIAS = "CNAME"


def parse_name(text: str) -> dns.name.Name | None:
    """An absolute name from A-labels, with or without the final dot, "." being the root; None for a text that cannot
    be a name in the DNS: empty or overlong labels, more than 255 octets, anything but ASCII.
    """
    if not text or not text.isascii():
        return None
    if text == "@":  # means something else in zone files
        return dns.name.Name((b"@", b""))
    try:
        return dns.name.from_text(text, dns.name.root)
    except dns.exception.DNSException:
        return None


def print_name(name: dns.name.Name) -> str:
    """Lower case without the final dot, the root as "."; parse_name of it is the same name."""
    return name.canonicalize().to_text(omit_final_dot=True)


def _read_name(parser: dns.wire.Parser) -> str:
    return print_name(dns.name.from_wire_parser(parser))


def _read_mx(parser: dns.wire.Parser) -> MxRecord:
    return MxRecord(parser.get_uint16(), _read_name(parser))


def _read_strings(parser: dns.wire.Parser) -> bytes:
    strings = [parser.get_counted_bytes()]
    while parser.remaining():
        strings.append(parser.get_counted_bytes())
    return b"".join(strings)


def _read_tlsa(parser: dns.wire.Parser) -> TlsaRecord:
    return TlsaRecord(parser.get_uint8(), parser.get_uint8(), parser.get_uint8(), parser.get_remaining())


def _read_minimum(parser: dns.wire.Parser) -> int:
    for _ in range(2):
        dns.name.from_wire_parser(parser)
    minimum: int = parser.get_struct("!5I")[4]
    return minimum


# Type -> what one of its records becomes in an Answer, from a parser that ends where the record does.
READERS: dict[str, Callable[[dns.wire.Parser], Any]] = {
    "A": lambda parser: str(IPv4Address(parser.get_bytes(4))),
    "AAAA": lambda parser: str(IPv6Address(parser.get_bytes(16))),
    "MX": _read_mx,
    "TXT": _read_strings,
    "PTR": _read_name,
    "CNAME": _read_name,
    "TLSA": _read_tlsa,
}

# The SOA record's value is its field "minimum"; that there are NS records is all that we want to know of them.
_AUTHORITY_READERS: dict[str, Callable[[dns.wire.Parser], Any]] = {"SOA": _read_minimum, "NS": _read_name}

_NUMBERS = {kind: int(dns.rdatatype.from_text(kind)) for kind in (*READERS, *_AUTHORITY_READERS)}


@dataclass(frozen=True, slots=True)
class Record:
    """A record of class IN. `value`: of an answer as READERS give it, of an SOA its field "minimum" in seconds."""

    name: dns.name.Name
    kind: str
    ttl: int
    value: Any


@dataclass(slots=True)
class Message:
    """A response as far as it was read. `rcode` with the upper bits of EDNS."""

    flags: int
    rcode: int
    octets: int
    answer: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Query:
    """A question ready to be sent, and what an answer to it looks like."""

    wire: bytes
    question: bytes  # as it stands in the wire: name, type, class

    @classmethod
    def make(cls, name: dns.name.Name, kind: str, number: int, edns: bool) -> "Query":
        """Recursion desired; AD asks for the bit without the signatures (RFC 6840 section 5.7)."""
        labels = b"".join(len(label).to_bytes(1, "big") + label for label in name.labels)
        question = labels + struct.pack("!HH", dns.rdatatype.from_text(kind), dns.rdataclass.IN)
        header = HEADER.pack(number, dns.flags.RD | dns.flags.AD, 1, 0, 0, edns)
        return cls(header + question + (_OPT if edns else b""), question)

    def is_answered_by(self, wire: bytes) -> bool:
        """Whether these octets begin like the answer to this question; the name's case may differ."""
        if len(wire) < HEADER.size or wire[:2] != self.wire[:2]:
            return False
        _, flags, questions, *_ = HEADER.unpack_from(wire)
        if flags & _QR_AND_OPCODE != _RESPONSE_TO_QUERY:
            return False
        if questions == 0:
            return flags & _RCODE in _ERRORS_WITHOUT_QUESTION
        asked = self.question
        given = wire[HEADER.size : HEADER.size + len(asked)]
        return questions == 1 and given[:-4].lower() == asked[:-4].lower() and given[-4:] == asked[-4:]


def parse_message(wire: bytes, kind: str) -> Message:
    """A response to a question of type `kind`; raises GrammarError."""
    if len(wire) < HEADER.size:
        raise GrammarError("no header")
    _, flags, questions, *counts = HEADER.unpack_from(wire)
    if questions > 1 or sum(counts) > MAX_RECORDS:
        raise GrammarError(f"{questions} questions and {sum(counts)} records, more than 1 and {MAX_RECORDS}")
    parser = dns.wire.Parser(wire, HEADER.size)
    message = Message(flags, flags & _RCODE, len(wire))
    wanted = {_NUMBERS[word]: (word, READERS[word]) for word in (kind, _ALIAS)}
    authority = {_NUMBERS[word]: (word, read) for word, read in _AUTHORITY_READERS.items()}
    try:
        if questions:
            dns.name.from_wire_parser(parser)
            parser.get_bytes(4)
        message.answer = _read_section(parser, counts[0], wanted, message)
        message.authority = _read_section(parser, counts[1], authority, message)
        _read_section(parser, counts[2], {}, message)
    except dns.exception.DNSException as error:
        raise GrammarError(str(error)) from error
    if parser.remaining():
        raise GrammarError("octets after the last record")
    return message


def _read_section(
    parser: dns.wire.Parser, count: int, readers: dict[int, tuple[str, Callable[[dns.wire.Parser], Any]]], into: Message
) -> list[Record]:
    records = []
    for _ in range(count):
        name = dns.name.from_wire_parser(parser)
        number, rdclass, ttl, octets = _RECORD.unpack(parser.get_bytes(_RECORD.size))
        with parser.restrict_to(octets):
            if number == dns.rdatatype.OPT:
                into.rcode |= ttl >> 24 << 4  # RFC 6891 section 6.1.3
            if rdclass == dns.rdataclass.IN and number in readers:
                kind, read = readers[number]
                records.append(Record(name, kind, ttl if ttl < _TTL_LIMIT else 0, read(parser)))
            else:
                parser.get_remaining()
    return records
