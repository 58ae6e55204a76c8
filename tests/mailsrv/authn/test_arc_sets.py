"""The structure of a chain: which fields make a set, and every way in which sets are no chain."""

import pytest

from mailsrv.authn.arc_sets import MOST, ArcSet, collect_sets
from mailsrv.errors import GrammarError
from mailsrv.mail.header import Header, scan


def read_header(text: str) -> Header:
    header = scan(text.replace("\n", "\r\n").encode(), True)
    assert header is not None
    return header


def make_set(instance: object, cv: str = "pass") -> str:
    return (
        f"ARC-Seal: i={instance}; cv={cv}; a=rsa-sha256; d=a.example; s=s; b=AAAA\n"
        f"ARC-Message-Signature: i={instance}; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\n"
        f"ARC-Authentication-Results: i={instance}; a.example; spf=pass\n"
    )


TWO = make_set(2) + make_set(1, "none")
FROM = "From: ada@a.example\n"


def collect(text: str) -> tuple[ArcSet, ...]:
    return collect_sets(read_header(text))


def test_no_fields_no_sets():
    assert collect(FROM + "ARC-Sealed: i=1\n") == ()
    assert collect("") == ()


def test_sets_in_order_whatever_the_order_of_fields():
    lines = (TWO + FROM).splitlines(keepends=True)
    for order in (lines, lines[::-1], sorted(lines), lines[3:] + lines[:3]):
        sets = collect("".join(order))
        assert [each.instance for each in sets] == [1, 2]
        assert sets[1].seal.octets == lines[0].encode().replace(b"\n", b"\r\n")
        assert sets[0].message_signature.octets == lines[4].encode().replace(b"\n", b"\r\n")
        assert sets[0].seal.chain == "none"


@pytest.mark.parametrize(
    "mangle",
    [
        str.upper,
        str.lower,
        str.swapcase,
        lambda name: name + " ",
        lambda name: name + "\t \t",
    ],
)
def test_names_compare_without_case(mangle):
    text = TWO
    for name in ("ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"):
        text = text.replace(name + ":", mangle(name) + ":")
    assert len(collect(text)) == 2


@pytest.mark.parametrize(
    ("beginning", "payload"),
    [
        (" i=1; a.example; spf=pass", "a.example; spf=pass"),
        ("i=1;", ""),
        (" i=01; a.example", "a.example"),
        ("\n\ti\n =\n 1\n ;\n\ta.example;\n\tspf=pass\n", "a.example; spf=pass"),
        (" (of a \\) list) i (x) = (y) 1 (z) ; a.example; none", "a.example; none"),
        (" i=1; a.example; spf=pass (m\u00fcller)\t\x7f", "a.example; spf=pass (m??ller) ?"),
        (" i=1; a.example; " + "x" * 9000, "a.example; " + "x" * 8181),
    ],
)
def test_what_the_sealer_found(beginning, payload):
    text = make_set(1, "none").replace(" i=1; a.example; spf=pass", beginning).replace("\n\n", "\n")
    assert collect(text)[0].payload == payload


BAD = [
    (make_set(1, "none").partition("ARC-M")[0], "no ARC-Authentication-Results field with i=1"),
    (TWO.replace("ARC-Authentication-Results: i=1", "X: i=1"), "no ARC-Authentication-Results field with i=1"),
    (TWO.replace("ARC-Message-Signature: i=2", "X: i=2"), "no ARC-Message-Signature field with i=2"),
    (TWO.replace("ARC-Seal: i=2", "X: i=2"), "no ARC-Seal field with i=2"),
    (make_set(2), "no ARC-Authentication-Results field with i=1"),
    (make_set(3) + make_set(1, "none"), "no ARC-Authentication-Results field with i=2"),
    (TWO + make_set(2), "two ARC-Seal fields with i=2"),
    (make_set("02") + TWO, "two ARC-Seal fields with i=2"),
    (TWO + "ARC-Authentication-Results: i=1; b.example; none\n", "two ARC-Authentication-Results fields with i=1"),
    (make_set(2, "fail"), "the ARC-Seal of i=2 says cv=fail"),
    (make_set(2, "FAIL") + make_set(1, "none"), "the ARC-Seal of i=2 says cv=fail"),
    (make_set(2) + make_set(1, "fail"), "the ARC-Seal of i=1 does not say cv=none"),
    (make_set(2) + make_set(1), "the ARC-Seal of i=1 does not say cv=none"),
    (make_set(2, "none") + make_set(1, "none"), "the ARC-Seal of i=2 does not say cv=pass"),
    (make_set(2, "softfail") + make_set(1, "none"), "the ARC-Seal of i=2 does not say cv=pass"),
    (make_set(1, "none").replace("cv=none; ", ""), "the ARC-Seal of i=1 does not say cv=none"),
    ("ARC-Seal: nonsense\n" + TWO, "an ARC-Seal field is not a list of tags with values"),
    (TWO + "ARC-Message-Signature: i=1; i=2\n", "an ARC-Message-Signature field has the tag i= more than once"),
    (TWO + "ARC-Seal:\n", "an ARC-Seal field without i= from 1 to 50"),
    (TWO + "ARC-Authentication-Results: a.example; i=3; none\n", "an ARC-Authentication-Results field without i="),
    (TWO + "ARC-Authentication-Results: I=3; a.example\n", "an ARC-Authentication-Results field without i="),
    (TWO + "ARC-Authentication-Results: i=3\n", "an ARC-Authentication-Results field without i="),
    (TWO + "ARC-Authentication-Results: (i=3; a.example\n", "an ARC-Authentication-Results field without i="),
]


@pytest.mark.parametrize(("text", "complaint"), BAD)
def test_what_is_no_chain(text, complaint):
    with pytest.raises(GrammarError) as caught:
        collect(text + FROM)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    "position", ["0", "00", "51", "99", "001", "1000000000000", "-1", "+1", "1.0", "1 1", "", "\u0661", "\u00b9", "x"]
)
def test_what_is_no_instance(position):
    with pytest.raises(GrammarError):
        collect(make_set(position, "none"))
    with pytest.raises(GrammarError):  # nor may a chain have such a field beside it
        collect(TWO + f"ARC-Seal: i={position}; cv=pass\n")


def test_fifty_sets_and_no_more():
    text = "".join(make_set(number, "pass" if number > 1 else "none") for number in range(MOST, 0, -1))
    assert [each.instance for each in collect(text)] == list(range(1, MOST + 1))
    with pytest.raises(GrammarError, match="more than 50 ARC-Seal fields"):
        collect(text + "ARC-Seal: x\n")
    with pytest.raises(GrammarError, match="more than 50 ARC-Authentication-Results fields"):
        collect("ARC-Authentication-Results: x\n" * 5000)


def test_an_empty_value_and_a_field_that_is_not_ended():
    with pytest.raises(GrammarError):
        collect_sets(Header(b"ARC-Seal:", b"\narc-seal:", 9))
    octets = make_set(1, "none").replace("\n", "\r\n").encode().removesuffix(b"\r\n")
    header = scan(octets, True)
    assert header is not None
    assert collect_sets(header)[0].payload == "a.example; spf=pass"
