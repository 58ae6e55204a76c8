"""Authentication-Results: as RFC 8601 writes it, whatever is to be told; and fields of others in all disguises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.authres import MethodResult, claims, format_authres
from mailsrv.mail.structured import MAX_VALUE, printable
from tests.mailsrv.mail.field_reader import check_lines, read_parts

OURS = "mx.example.org"


def test_nothing_was_done():
    assert format_authres(OURS, []) == b"Authentication-Results: mx.example.org; none\r\n"


def test_a_whole_field():
    results = [
        MethodResult("spf", "pass", properties=(("smtp", "mailfrom", "ann@example.org"),)),
        MethodResult(
            "dkim",
            "fail",
            "body hash did not verify",
            (("header", "d", "example.org"), ("header", "i", "@example.org"), ("header", "b", "a/b+c=")),
            "2048-bit key",
        ),
        MethodResult("iprev", "pass", properties=(("policy", "iprev", "2001:db8::1"),)),
    ]
    assert format_authres(OURS, results) == (
        b"Authentication-Results: mx.example.org;\r\n"
        b"\tspf=pass smtp.mailfrom=ann@example.org;\r\n"
        b'\tdkim=fail (2048-bit key) reason="body hash did not verify"\r\n'
        b'\theader.d=example.org header.i=@example.org header.b="a/b+c=";\r\n'
        b'\tiprev=pass policy.iprev="2001:db8::1"\r\n'
    )


@pytest.mark.parametrize(
    ("ptype", "value", "written"),
    [
        ("smtp", "ann@example.org", "ann@example.org"),
        ("smtp", '"a b"@example.org', '"a b"@example.org'),
        ("smtp", "a b@example.org", '"a b@example.org"'),
        ("smtp", "ann@[192.0.2.1]", '"ann@[192.0.2.1]"'),
        ("smtp", "ann@example..org", '"ann@example..org"'),
        ("smtp", 'a"; dmarc=pass@example.org', '"a\\"; dmarc=pass@example.org"'),
        ("smtp", "ann@example.org; dmarc=pass", '"ann@example.org; dmarc=pass"'),
        ("smtp", "ann@example.org\r\nX: y", '"ann@example.org??X: y"'),
        ("smtp", "\u00e5nn@example.org", "\u00e5nn@example.org"),
        ("smtp", "\u00e5nn@b\u00fccher.example", '"?nn@b?cher.example"'),
        ("header", "\u00e5nn@example.org", "?nn@example.org"),
        ("smtp", "[192.0.2.1]", '"[192.0.2.1]"'),
        ("header", "", '""'),
        ("header", "x" * 2000, "x" * (MAX_VALUE - 3) + "..."),
    ],
)
def test_values_of_properties(ptype, value, written):
    field = format_authres(OURS, [MethodResult("spf", "pass", properties=((ptype, "x", value),))]).decode()
    assert (
        "".join(field.split("\r\n\t"))
        == f"Authentication-Results: mx.example.org;spf=pass{'' if len(written) > 60 else ' '}{ptype}.x={written}\r\n"
    )


TEXT = st.text(max_size=1200) | st.text(st.sampled_from('"\\();=@. \r\n\tab\u00fc\x00'), max_size=40)
RESULT = st.builds(
    MethodResult,
    st.sampled_from(["spf", "dkim", "dmarc", "arc", "iprev", "auth"]),
    st.sampled_from(["pass", "fail", "none", "temperror"]),
    TEXT,
    st.lists(st.tuples(st.sampled_from(["header", "policy"]), st.sampled_from(["d", "i"]), TEXT), max_size=3).map(
        tuple
    ),
    TEXT,
)


@given(TEXT, st.lists(RESULT, max_size=4))
def test_whatever_is_told_is_read_back(authserv_id, results):
    field = format_authres(authserv_id, results)
    body = check_lines(field, "Authentication-Results")
    assert body.isascii()
    parts = read_parts(body)
    assert parts.pop(0) == [("word", printable(authserv_id, MAX_VALUE))]
    if not results:
        assert parts == [[("word", "none")]]
    for part, result in zip(parts, results, strict=bool(results)):
        wanted = [f"{result.method}={result.result}"]
        wanted += [f"reason={printable(result.reason, MAX_VALUE)}"] if result.reason else []
        values = [(ptype, name, printable(value, MAX_VALUE)) for ptype, name, value in result.properties]
        words = [word for kind, word in part if kind == "word"]
        assert words[: len(wanted)] == wanted
        for word, (ptype, name, value) in zip(words[len(wanted) :], values, strict=True):
            # An address keeps the quotes that it came with; the reader takes them off.
            assert word in (f"{ptype}.{name}={value}", f"{ptype}.{name}={unquote(value)}")
    assert claims(body.encode(), printable(authserv_id, MAX_VALUE))


def unquote(address):
    local_part, _, domain = address.rpartition("@")
    return local_part[1:-1].replace("\\\\", "\0").replace("\\", "").replace("\0", "\\") + f"@{domain}"


@given(st.text(st.characters(min_codepoint=1), max_size=80), st.text(max_size=80))
def test_utf8_in_addresses_of_the_envelope_alone(local_part, reason):
    result = MethodResult("spf", "pass", reason, (("smtp", "mailfrom", f"{local_part}@example.org"),))
    read_parts(check_lines(format_authres(OURS, [result]), "Authentication-Results"))


CLAIMS = [
    b" mx.example.org; spf=pass",
    b" mx.example.org",
    b"mx.example.org;none",
    b" MX.Example.ORG; spf=pass",
    b" mx.example.org. ; spf=pass",
    b" mx.example.org 1; spf=pass",
    b' "mx.example.org"; spf=pass',
    b' "mx\\.example.org" 1 ; spf=pass',
    b" (nothing) mx.example.org (to see) 1 (here); spf=pass",
    b" (a (nested \\) ) one)mx.example.org; spf=pass",
    b"\r\n\tmx.example.org;\r\n\tspf=pass",
    b' "mx.\r\n example.org"; spf=pass',
    b' " mx.example.org "; spf=pass',
    "\uff4dx.example.org; spf=pass".encode(),
    "mx\u3002example\u3002org; spf=pass".encode(),
    # In doubt.
    b"",
    b" ; spf=pass",
    b" spf=pass smtp.mailfrom=example.org",
    b" (unended mx.example.org; spf=pass",
    b' "unended mx.example.org; spf=pass',
    b" other.example spf=pass; dkim=pass",
    b" mx(nothing).example.org; spf=pass",
    b" mx.example.org/1; spf=pass",
    b" =?utf-8?q?mx.example.org?=; spf=pass",
    b' "=?utf-8?q?mx.example.org?="; spf=pass',
    b" \xff\xfe.example; spf=pass",
    # However far it stands behind.
    b" " * 5000 + b"mx.example.com; spf=pass",
    b"(" + b"a" * 5000 + b") mx.example.com; spf=pass",
]


@pytest.mark.parametrize("value", CLAIMS)
def test_a_field_that_claims_to_be_ours(value):
    assert claims(value, OURS)


@pytest.mark.parametrize(
    "value",
    [
        b" mx.example.com; spf=pass",
        b" mx.example.com; spf=pass (mx.example.org)",
        b" (mx.example.org) mx.example.com; spf=pass",
        b" a.mx.example.org; spf=pass",
        b" example.org; none",
        b' "mx.example.com 1"; none',
        b" mx.google.example;\r\n       dkim=pass header.i=@example.org header.s=a",
        "b\u00fccher.example; none".encode(),
    ],
)
def test_a_field_of_others(value):
    assert not claims(value, OURS)


@pytest.mark.parametrize(
    "given_id", ["b\u00fccher.example", "B\u00dcCHER.example", "xn--bcher-kva.example", "bu\u0308cher.example"]
)
@pytest.mark.parametrize("ours", ["b\u00fccher.example", "xn--bcher-kva.example"])
def test_names_in_other_scripts(given_id, ours):
    assert claims(f" {given_id}; spf=pass".encode(), ours)


@given(st.binary(max_size=60))
def test_any_octets_can_be_looked_at(value):
    assert claims(value, OURS) in (True, False)


def test_long_values_take_no_longer_than_they_are():
    for octets in (b"(" * 100_000, b"\\" * 100_001, b'"' + b"\\a" * 50_000, b"()" * 50_000, b"a" * 100_000 + b"="):
        assert claims(octets, OURS)
