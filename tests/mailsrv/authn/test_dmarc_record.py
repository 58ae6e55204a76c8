"""Policy records: what makes one, what each tag takes, what a fault costs, and a simple reader that must agree."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsrv.authn.dmarc_record import MOST_OCTETS, find_record, parse_record, parse_uris
from mailsrv.authn.findings import Policy
from mailsrv.errors import GrammarError


@pytest.mark.parametrize(
    "text",
    ["v=DMARC1", "v=DMARC1;", "v=DMARC1 ", "v=DMARC1 ;", "v \t= \tDMARC1\t;p=none", "V=DMARC1;p=none", "v=DMARC1;;;"],
)
def test_records(text: str) -> None:
    assert parse_record(text.encode()).p is Policy.NONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        " v=DMARC1; p=none",
        ";v=DMARC1; p=none",
        "p=none; v=DMARC1",
        "v=dmarc1; p=none",
        "v=DMARC2; p=none",
        "v=DMARC10; p=none",
        "v=DMARC1 p=none",
        "v=DMARC1,p=none",
        "v=DMARC 1; p=none",
        "vv=DMARC1",
        "v:DMARC1",
        "\ufeffv=DMARC1",
        "v=DMARC1\n; p=none",
    ],
)
def test_no_records(text: str) -> None:
    with pytest.raises(GrammarError):
        parse_record(text.encode())
    assert find_record([text.encode()]) is None


def test_one_of_several_texts() -> None:
    first, second = b"v=DMARC1; p=none", b"v=DMARC1; p=reject"
    assert find_record([]) is None
    assert find_record([b"v=spf1 -all", second, b"\xff"]) == parse_record(second)
    assert find_record([first, second]) is None
    assert find_record([first, first]) is None


def test_everything() -> None:
    record = parse_record(
        b"v=DMARC1; p=reject; sp=quarantine; np=none; t=y; psd=n; adkim=s; aspf=s; fo=1:d:s;"
        b" rua=mailto:a@example.com!10m , https://example.com/x; ruf=mailto:f@example.com; pct=50; rf=afrf; ri=86400"
    )
    assert (record.p, record.sp, record.np) == (Policy.REJECT, Policy.QUARANTINE, Policy.NONE)
    assert (record.t, record.testing, record.psd, record.adkim, record.aspf) == ("y", True, "n", "s", "s")
    assert record.rua == ("mailto:a@example.com", "https://example.com/x")
    assert record.ruf == ("mailto:f@example.com",)
    assert record.fo == ("1", "d", "s")
    assert record.usable


def test_defaults() -> None:
    record = parse_record(b"v=DMARC1;p=quarantine")
    assert (record.sp, record.np, record.t, record.psd, record.adkim, record.aspf) == (None, None, "n", "u", "r", "r")
    assert (record.rua, record.ruf, record.fo, record.usable) == ((), (), ("0",), True)


@pytest.mark.parametrize(
    ("text", "usable", "policy"),
    [
        ("p=Reject", True, Policy.REJECT),
        ("P = REJECT ", True, Policy.REJECT),
        ("rua=mailto:a@b", True, Policy.NONE),
        ("", True, Policy.NONE),
        ("p=", False, Policy.NONE),
        ("p=no", False, Policy.NONE),
        ("p=reject; sp=no", False, Policy.NONE),
        ("p=reject; np=", False, Policy.NONE),
        ("p=reject; sp=no; rua=mailto:a@b", True, Policy.NONE),
        ("p=no; sp=reject; rua=mailto:a@b", True, Policy.NONE),
        ("p=no; rua=nowhere", False, Policy.NONE),
        ("p=no; rua=,", False, Policy.NONE),
        ("p=no; rua=ftp://example.com/", True, Policy.NONE),
        ("p=reject; p=none", True, Policy.REJECT),
        ("p=none; p=reject", True, Policy.NONE),
        ("p=reject junk", False, Policy.NONE),
        ("p=re\tject", False, Policy.NONE),
        ("p=reject\xff", False, Policy.NONE),
        ("p=reject; = ; x; y=; \xff=1; 1=2; p1=none", True, Policy.REJECT),
        ("pp=none; p=reject", True, Policy.REJECT),
    ],
)
def test_policy(text: str, usable: bool, policy: Policy) -> None:
    record = parse_record(f"v=DMARC1; {text}".encode("latin-1"))
    assert (record.usable, record.p) == (usable, policy)
    if policy is Policy.NONE:
        assert (record.sp, record.np) == (None, None)


@pytest.mark.parametrize(
    ("text", "own", "existing", "missing"),
    [
        ("p=reject", "reject", "reject", "reject"),
        ("p=reject; sp=none", "reject", "none", "none"),
        ("p=none; np=reject", "none", "none", "reject"),
        ("p=none; sp=quarantine; np=reject", "none", "quarantine", "reject"),
    ],
)
def test_whom_a_policy_is_for(text: str, own: str, existing: str, missing: str) -> None:
    record = parse_record(f"v=DMARC1; {text}".encode())
    assert [record.policy(False, exists).value for exists in (True, False)] == [own, own]
    assert [record.policy(True, exists).value for exists in (True, False)] == [existing, missing]


def test_testing_softens_by_one() -> None:
    testing, not_testing = (parse_record(f"v=DMARC1; t={word}".encode()) for word in "yn")
    assert [testing.soften(policy).value for policy in Policy] == ["none", "none", "quarantine"]
    assert [not_testing.soften(policy) for policy in Policy] == [*Policy]


@pytest.mark.parametrize("text", ["t=yes", "t=", "psd=maybe", "adkim=strict", "aspf=x", "t=n; t=y", "psd=u;psd=y"])
def test_what_is_not_valid_is_the_default(text: str) -> None:
    record = parse_record(f"v=DMARC1; p=reject; {text}".encode())
    assert (record.t, record.psd, record.adkim, record.aspf, record.p) == ("n", "u", "r", "r", Policy.REJECT)


@pytest.mark.parametrize(
    ("value", "options"),
    [("0", "0"), ("1", "1"), ("d", "d"), ("S:0", "s0"), ("0 : d : s", "0ds"), ("d:s:1", "ds1"), ("", "0"),
     ("0:1", "0"), ("d:d", "0"), ("x", "0"), ("d:", "0"), ("1:1", "0")],
)  # fmt: skip
def test_failure_options(value: str, options: str) -> None:
    assert parse_record(f"v=DMARC1; fo={value}".encode()).fo == tuple(options)


@pytest.mark.parametrize(
    ("value", "uris"),
    [
        ("mailto:a@b", ("mailto:a@b",)),
        (" mailto:a@b , mailto:c@d!5 ,MAILTO:e@f!7K", ("mailto:a@b", "mailto:c@d", "MAILTO:e@f")),
        ("mailto:a%2Cb%21c@d", ("mailto:a%2Cb%21c@d",)),
        ("mailto:a b@c,mailto:a!b@c,mailto:a@b!10x,mailto:a@b!,mailto:a%2@b,mailto:,:a@b,a@b,1:a", ()),
        ("mailto:\u00fc@b", ()),
    ],
)
def test_uris(value: str, uris: tuple[str, ...]) -> None:
    assert parse_uris(value) == uris


def test_only_the_beginning_is_read() -> None:
    padding = b"x=" + b"y" * MOST_OCTETS
    assert parse_record(b"v=DMARC1; p=reject; " + padding + b"; t=y").t == "n"
    cut = b"v=DMARC1; t=y; x=" + b"y" * (MOST_OCTETS - 22)
    assert len(cut + b"; p=reject") > MOST_OCTETS
    record = parse_record(cut + b"; p=reject")
    assert (record.t, record.p, record.usable) == ("y", Policy.NONE, True)
    assert parse_record(b"v=DMARC1 " + b" " * MOST_OCTETS + b"; p=reject").p is Policy.NONE


def model(text: str) -> tuple[object, ...]:
    """(p, sp, np, t, psd, usable) read with as few rules as possible."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip(" \t").lower()
        if equals and name.isascii() and name.isalpha() and name not in tags:
            tags[name] = value.strip(" \t").lower()
    words = {"none": Policy.NONE, "quarantine": Policy.QUARANTINE, "reject": Policy.REJECT}
    asked = [words.get(tags[name], "bad") if name in tags else None for name in ("p", "sp", "np")]
    usable = "bad" not in asked or "mailto:a@b" in tags.get("rua", "")
    if "bad" in asked:
        asked = [None, None, None]
    t = "y" if tags.get("t") == "y" else "n"
    psd = tags.get("psd") if tags.get("psd") in ("y", "n") else "u"
    return asked[0] or Policy.NONE, asked[1], asked[2], t, psd, usable


SPACE = st.sampled_from(["", " ", "\t ", "  "])
TAGS = st.tuples(
    SPACE,
    st.sampled_from(["p", "P", "sp", "np", "t", "psd", "rua", "x", "", "p1", "pct"]),
    SPACE,
    st.sampled_from(["=", "", "=="]),
    SPACE,
    st.sampled_from(["none", "Reject", "quarantine", "y", "n", "u", "", "mailto:a@b", "bad", "none reject"]),
    SPACE,
).map("".join)


@given(st.lists(TAGS, max_size=12))
@example([])
def test_the_model_agrees(tags: list[str]) -> None:
    text = ";".join(["v=DMARC1", *tags])
    record = parse_record(text.encode())
    assert (record.p, record.sp, record.np, record.t, record.psd, record.usable) == model(text)


@given(st.binary(max_size=200))
def test_any_octets(octets: bytes) -> None:
    record = parse_record(b"v=DMARC1;" + octets)
    assert record.text.isascii() and record.text.isprintable()
    assert parse_record(record.text.encode()) == record
    try:
        parse_record(octets)
    except GrammarError:
        assert find_record([octets]) is None
