"""Content fields, their words and parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.mime_header import (
    MAX_PARAMETERS,
    content_fields,
    find_header_end,
    parameter,
    read_languages,
    read_media_type,
    read_parameters,
    read_token,
    unfold,
)

ENDS = [
    (b"", 0),
    (b"\r\n", 2),
    (b"\n", 1),
    (b"\r", 1),
    (b"a: b\r\n", 6),
    (b"a: b\r\n\r\nx", 8),
    (b"a: b\n\nx", 6),
    (b"a: b\r\n\nx", 7),
    (b"a: b\n\r\nx", 7),
    (b"a: b\r\n\r\n\n\n", 8),
    (b"a: b\n\n\r\n\r\n", 6),
    (b"a: b\r\n \r\n\r\nx", 11),
]


@pytest.mark.parametrize(("octets", "end"), ENDS)
def test_where_a_header_ends(octets: bytes, end: int) -> None:
    assert find_header_end(octets, 0, len(octets)) == end
    assert find_header_end(b"\n\n" + octets + b"\n\n", 2, 2 + len(octets)) == 2 + end


def test_fields_by_their_names() -> None:
    header = (
        b"Subject: Content-Type: no\r\nX-Content-Type: no\r\nCONTENT-type : text/plain;\r\n\tcharset=a\r\n"
        b"Content-Type: second\r\ncontent-id:<a>\nContent-\xff: no\r\nContent-Language:\r\nContent-MD5"
    )
    assert content_fields(header) == {b"type": b"text/plain;\tcharset=a", b"id": b"<a>", b"language": b""}


def test_fields_beside_each_other_are_all_seen() -> None:
    names = [b"a%d" % number for number in range(50)]
    for line_end in (b"\r\n", b"\n"):
        header = b"".join(b"Content-%b: %b" % (name, name) + line_end for name in names)
        assert list(content_fields(header)) == names


def test_a_bare_carriage_return_ends_nothing() -> None:
    assert content_fields(b"Content-ID: a\rContent-MD5: b\r\nContent-MD5: c") == {
        b"id": b"a\rContent-MD5: b",
        b"md5": b"c",
    }


def test_unfolding_takes_both_line_ends() -> None:
    assert unfold(b" a\r\n b\n\tc \r\n ") == b"a b\tc"


@pytest.mark.parametrize(
    ("value", "token"),
    [(b"BASE64", b"base64"), (b"7bit (comment)", b"7bit"), (b"", b""), (b'"base64"', b""), (b"a;b", b"a")],
)
def test_tokens(value: bytes, token: bytes) -> None:
    assert read_token(value) == token


def test_media_types() -> None:
    assert read_media_type(b"Text / X-y+z.1;") == (b"text", b"x-y+z.1")
    assert read_media_type(b"text/") is read_media_type(b"/plain") is read_media_type(b"t(x)/y") is None


def test_languages() -> None:
    assert read_languages(b"en, de-CH (Swiss), *") == (b"en", b"de-CH", b"*")
    assert read_languages(b" ,,") == ()
    assert len(read_languages(b"x," * 1000)) == MAX_PARAMETERS


PARAMETERS = [
    (b"text/plain", []),
    (b"text/plain;", []),
    (b"x;a=b", [(b"a", b"b")]),
    (b"x ; A = B ; c=\td ", [(b"a", b"B"), (b"c", b"d")]),
    (b'x; a="b; c=d"; e=f', [(b"a", b"b; c=d"), (b"e", b"f")]),
    (b'x; a="b\\"c\\\\d"', [(b"a", b'b"c\\d')]),
    (b'x; a=""; b=', [(b"a", b""), (b"b", b"")]),
    (b'x; a="no end; b=c', [(b"a", b"no end; b=c")]),
    (b'x; a="no end\\', [(b"a", b"no end")]),
    (b'x; a="b" junk; c=d', [(b"a", b"b"), (b"c", b"d")]),
    (b"x; a=b (comment); c=d", [(b"a", b"b"), (b"c", b"d")]),
    (b"x; name=my report(1).txt; c=d", [(b"name", b"my report(1).txt"), (b"c", b"d")]),
    (b"x; novalue; =noname; ; a=b", [(b"a", b"b")]),
    (b"x; a=1; a=2", [(b"a", b"1"), (b"a", b"2")]),
    (b"x; a\xff=1; b=\xff", [(b"b", b"\xff")]),
    # RFC 2231 section 3, and its extended forms of section 4.1
    (b'x; URL*0="ftp://"; URL*1="cs.utk.edu/"', [(b"url", b"ftp://cs.utk.edu/")]),
    (b"x; a*1=2; b=x; a*0=1", [(b"a", b"12"), (b"b", b"x")]),
    (b"x; a*0=1; a*0=2; a*5=6", [(b"a", b"16")]),
    (b"x; a*=us-ascii'en'b%20c", [(b"a*", b"us-ascii'en'b%20c")]),
    (b"x; a*0*=utf-8''%c3; a*1*=%a4; a*2=\"' %\"", [(b"a*", b"utf-8''%c3%a4%27%20%25")]),
    (b"x; a*0=b'; a*1*=%41", [(b"a*", b"''b%27%41")]),
    (b"x; a*0=1; a=2; a*=''3", [(b"a", b"1"), (b"a", b"2"), (b"a*", b"''3")]),
    (b"x; *0=1; a*x=2; a*1000=3", [(b"*0", b"1"), (b"a*x", b"2"), (b"a*1000", b"3")]),
]


@pytest.mark.parametrize(("value", "parameters"), PARAMETERS)
def test_parameters(value: bytes, parameters: list[tuple[bytes, bytes]]) -> None:
    assert list(read_parameters(value)) == parameters


def test_parameters_are_bounded() -> None:
    assert len(read_parameters(b"x" + b";a=b" * 1000)) == MAX_PARAMETERS
    assert read_parameters(b"x;" + b" " * 100000 + b";a=b") == ()


def test_the_first_parameter_of_a_name() -> None:
    parameters = ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))
    assert parameter(parameters, b"a") == b"1"
    assert parameter(parameters, b"c") is None
    assert parameter(((b"a*", b"us-ascii'en'b%20c%2"), (b"a", b"2")), b"a") == b"b c%2"
    assert parameter(((b"a*", b"no'quotes"),), b"a") == b"quotes"


TOKEN = st.text("abcXYZ019-_.", min_size=1, max_size=8).map(str.encode)


@given(st.dictionaries(TOKEN.map(bytes.lower), st.binary(max_size=30).filter(lambda b: not {10, 13} & set(b))))
def test_quoted_values_come_back(parameters: dict[bytes, bytes]) -> None:
    value = b"x/y" + b"".join(
        b'; %b="%b"' % (name, content.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
        for name, content in parameters.items()
    )
    assert dict(read_parameters(value)) == parameters


@given(st.lists(st.sampled_from([b";", b"a", b"*", b"0", b"1", b"=", b'"', b"\\", b"'", b"%", b" ", b"(", b"\xff"])))
def test_anything_has_parameters(pieces: list[bytes]) -> None:
    for name, value in read_parameters(b"".join(pieces)):
        assert name and name == name.lower()
        assert isinstance(value, bytes)
