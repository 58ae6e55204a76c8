import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.system.dns_reading import Chain, read_response
from mailsrv.system.dns_values import DnsFailure, MxRecord, TlsaRecord
from mailsrv.system.dns_wire import MAX_RECORDS, READERS, Query, parse_message, parse_name, print_name

LABEL = "a" * 63


@pytest.mark.parametrize("text", ["example.org", "Example.ORG.", "_25._tcp.mx.example", ".", LABEL, "xn--bcher-kva.de"])
def test_names(text):
    assert print_name(parse_name(text)) == (text.lower().rstrip(".") or ".")


@pytest.mark.parametrize("text", ["a b", "a\x00b", "a@b", "@", "*.a", "-a-", "a\\.b.c", "\\000", "\\@", '"', "$"])
def test_odd_names_are_names(text):
    assert parse_name(print_name(parse_name(text))) == parse_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        ".a",
        "a..b",
        "a..",
        LABEL + "a",
        ".".join([LABEL] * 4),
        "bücher.de",
        "\u212aelvin.example",  # its lower case is ASCII
        "a\\",
        "a\\9.b",
        "a\\999",
    ],
)
def test_texts_that_no_name_is_written_as(text):
    assert parse_name(text) is None


def test_the_longest_name():
    longest = ".".join([LABEL, LABEL, LABEL, "a" * 61])
    assert parse_name(longest) is not None
    assert parse_name(longest + "a") is None


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=5))
def test_a_printed_name_is_the_same_name(labels):
    name = dns.name.Name((*labels, b""))
    assert parse_name(print_name(name)) == name


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_none(text):
    name = parse_name(text)
    assert name is None or name.is_absolute()


# One record's data (names uncompressed) -> its value, or None where it is malformed.
MX_NAME = b"\2MX\7Example\0"
DATA = [
    ("A", b"\xc0\0\2\1", "192.0.2.1"),
    ("A", b"\xc0\0\2", None),
    ("A", b"\xc0\0\2\1\0", None),
    ("AAAA", bytes.fromhex("20010db8" + "00" * 11 + "01"), "2001:db8::1"),
    ("AAAA", b"\xc0\0\2\1", None),
    ("MX", b"\0\x0a" + MX_NAME, MxRecord(10, "mx.example")),
    ("MX", b"\0\0\0", MxRecord(0, ".")),
    ("MX", b"\0\x0a\3a.b\0", MxRecord(10, "a\\.b")),
    ("MX", b"\0\x0a", None),
    ("MX", b"\0\x0a" + MX_NAME + b"\0", None),
    ("TXT", b"\3v=s\0\2\0\xff", b"v=s\0\xff"),
    ("TXT", b"\0", b""),
    ("TXT", b"", None),
    ("TXT", b"\3ab", None),
    ("PTR", MX_NAME, "mx.example"),
    ("PTR", b"", None),
    ("CNAME", MX_NAME, "mx.example"),
    ("CNAME", b"\x80", None),
    ("TLSA", b"\3\1\1" + b"\xab" * 32, TlsaRecord(3, 1, 1, b"\xab" * 32)),
    ("TLSA", b"\3\1\1\xab", TlsaRecord(3, 1, 1, b"\xab")),  # of no use, which is for DANE to say
    ("TLSA", b"\3\1\1", TlsaRecord(3, 1, 1, b"")),
    ("TLSA", b"\3\1", None),
]


def record(kind, data, name=b"\1a\7example\0", rdclass=1, ttl=60):
    number = int(dns.rdatatype.from_text(kind)) if isinstance(kind, str) else kind
    numbers = number.to_bytes(2, "big") + rdclass.to_bytes(2, "big") + ttl.to_bytes(4, "big")
    return name + numbers + len(data).to_bytes(2, "big") + data


def wire(answer=(), authority=(), additional=(), flags=0x8180):
    counts = b"".join(len(section).to_bytes(2, "big") for section in (answer, authority, additional))
    return b"\0\1" + flags.to_bytes(2, "big") + b"\0\0" + counts + b"".join([*answer, *authority, *additional])


@pytest.mark.parametrize(("kind", "data", "value"), DATA)
def test_records(kind, data, value):
    octets = wire([record(kind, data)])
    if value is None:
        with pytest.raises(GrammarError):
            parse_message(octets, kind)
    else:
        (found,) = parse_message(octets, kind).answer
        assert (found.kind, found.value, found.ttl) == (kind, value, 60)
        assert print_name(found.name) == "a.example"


def test_every_type_has_its_rows():
    assert {kind for kind, _, _ in DATA} == set(READERS)


def test_broken_records_that_nobody_asked_for_do_no_harm():
    good = record("A", b"\xc0\0\2\1")
    for kind in range(1, 300):
        if kind not in (1, 5):
            bad = record(kind, b"\xff\xff\xff")
            others = [record(kind, b"\xff" * 3)] if kind not in (2, 6) else []
            message = parse_message(wire([bad, good], others, [bad]), "A")
            assert [found.value for found in message.answer] == ["192.0.2.1"]


def test_other_classes_are_no_answer():
    assert parse_message(wire([record("A", b"\xc0\0\2\1", rdclass=3)]), "A").answer == []


def test_ttl_with_the_upper_bit_means_none():
    (found,) = parse_message(wire([record("A", b"\xc0\0\2\1", ttl=1 << 31)]), "A").answer
    assert found.ttl == 0


def test_authority():
    soa = b"\0\0" + b"".join(number.to_bytes(4, "big") for number in (1, 2, 3, 4, 300))
    message = parse_message(wire([], [record("SOA", soa), record("NS", MX_NAME), record("A", b"\1\2\3\4")]), "A")
    assert [(found.kind, found.value) for found in message.authority] == [("SOA", 300), ("NS", "mx.example")]


def test_rcode_with_its_upper_bits():
    badvers = record("OPT", b"", name=b"\0", rdclass=1232, ttl=1 << 24)
    assert parse_message(wire(additional=[badvers], flags=0x8180), "A").rcode == 16
    assert parse_message(wire(flags=0x8183), "A").rcode == 3


LOOPS = {
    "to itself": b"\xc0\x0c",
    "forward": b"\xc0\xff",
    "to and fro": b"\1a\xc0\x0c",
    "of labels that are none": b"\x40a\0",
    "overlong": (b"\x3f" + b"a" * 63) * 4 + b"\0",
}


@pytest.mark.parametrize("case", LOOPS)
def test_names_that_never_end(case):
    with pytest.raises(GrammarError):
        parse_message(wire([record("A", b"\xc0\0\2\1", name=LOOPS[case])]), "A")


def test_bounds():
    one = record("A", b"\xc0\0\2\1")
    assert len(parse_message(wire([one] * MAX_RECORDS), "A").answer) == MAX_RECORDS
    for bad in (wire([one] * (MAX_RECORDS + 1)), wire([one]) + b"\0", wire([one])[:-1], wire([one])[:11], b""):
        with pytest.raises(GrammarError):
            parse_message(bad, "A")
    two_questions = bytearray(wire())
    two_questions[5] = 2
    with pytest.raises(GrammarError, match="2 questions"):
        parse_message(bytes(two_questions), "A")


def answer_to(query, name="a.example", kind="A", **changes):
    message = dns.message.make_response(dns.message.make_query(name, kind, id=query.wire[0] << 8 | query.wire[1]))
    for key, value in changes.items():
        setattr(message, key, value)
    return message.to_wire()


def test_what_is_an_answer():
    query = Query.make(parse_name("a.example"), "A", 4711, edns=True)
    assert query.is_answered_by(answer_to(query))
    assert query.is_answered_by(answer_to(query, "A.eXample"))
    header = query.wire[:2] + b"\x81\x82" + b"\0" * 8
    assert query.is_answered_by(header), "SERVFAIL without the question"
    for stray in (
        b"",
        query.wire,
        answer_to(query)[:11],
        answer_to(query)[:20],
        answer_to(query, id=4712),
        answer_to(query, "b.example"),
        answer_to(query, "a.example.org"),
        answer_to(query, kind="AAAA"),
        query.wire[:2] + b"\x81\x80" + b"\0" * 8,
        query.wire[:2] + b"\x81\x83" + b"\0" * 8,
    ):
        assert not query.is_answered_by(stray)
    assert Query.make(dns.name.root, "A", 1, edns=False).question == b"\0\0\1\0\1"


def test_the_type_is_compared_as_it_is():
    """65 and 97 are a letter in either case, and types."""
    query = Query.make(parse_name("a.example"), "TYPE65", 4711, edns=True)
    assert not query.is_answered_by(answer_to(query, kind="TYPE97"))


def honest_wire():
    message = dns.message.from_text(
        "id 1\nopcode QUERY\nrcode NOERROR\nflags QR RD RA\nedns 0\npayload 1232\n;QUESTION\na.example. IN MX\n"
        ";ANSWER\na.example. 60 IN CNAME b.example.\nb.example. 60 IN MX 10 mx.b.example.\n"
        'b.example. 60 IN TXT "x" "y"\nb.example. 60 IN AAAA 2001:db8::1\n;AUTHORITY\n'
        "example. 60 IN SOA ns.example. root.example. 1 2 3 4 5\n;ADDITIONAL\nc.example. 60 IN A 192.0.2.1\n"
    )
    return message.to_wire()


WIRE = honest_wire()  # one record a type: dnspython writes several in an order of chance


def expect_answer_or_failure(octets, kind):
    try:
        message = parse_message(octets, kind)
        read_response(message, Chain(parse_name("a.example")), kind, "a.example")
    except (GrammarError, DnsFailure):
        pass


@given(
    st.lists(st.tuples(st.integers(0, len(WIRE) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, len(WIRE)),
    st.sampled_from(sorted(READERS)),
)
def test_damaged_answers_are_answers_or_failures(changes, end, kind):
    damaged = bytearray(WIRE)
    for place, octet in changes:
        damaged[place] = octet
    expect_answer_or_failure(bytes(damaged), kind)
    expect_answer_or_failure(bytes(damaged[:end]), kind)


@given(st.binary(max_size=200), st.lists(st.integers(0, 3), min_size=3, max_size=3), st.sampled_from(sorted(READERS)))
def test_any_octets_are_answers_or_failures(octets, records, kind):
    counts = b"".join(count.to_bytes(2, "big") for count in records)
    expect_answer_or_failure(b"\0\1\x81\x80\0\0" + counts + octets, kind)
