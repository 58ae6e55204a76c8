"""Text from octets: charsets, encoded words, parameters, blocks."""

import sys
from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.words import codec_name, decode_field, decode_octets, decode_parameter, decode_text, reads_ascii

CODECS = [
    (b"", None),
    (b"utf-8", None),
    (b"UTF8", None),
    (b"US-ASCII", None),
    (b"ansi_x3.4-1968", None),
    (b"no-such-charset", None),
    (b"x" * 10000, None),
    (b"\xff", None),
    (b"zip", None),
    (b"hex", None),
    (b"rot13", None),
    (b"punycode", None),
    (b"idna", None),
    (b"unicode_escape", None),
    (b"os.path", None),
    (b"aliases", None),
    (b"iso-8859-1", "cp1252"),
    (b"Latin1", "cp1252"),
    (b"ISO_8859-1:1987", None),
    (b"iso-8859-15", "iso8859_15"),
    (b"ISO-8859-2", "iso8859_2"),
    (b"windows-1251", "cp1251"),
    (b"koi8-r", "koi8_r"),
    (b"koi8-u", "koi8_u"),
    (b"gb2312", "gb18030"),
    (b"GBK", "gb18030"),
    (b"big5", "big5"),
    (b"shift_jis", "cp932"),
    (b"iso-2022-jp", "iso2022_jp"),
    (b"euc-kr", "cp949"),
    (b"ks_c_5601-1987", "cp949"),
    (b"utf-16le", "utf_16_le"),
    (b"utf-7", "utf_7"),
    (b"windows-874", "cp874"),
]


@pytest.mark.parametrize(("charset", "codec"), CODECS)
def test_charsets(charset: bytes, codec: str | None) -> None:
    assert codec_name(charset) == codec
    assert decode_octets(b"abc", charset) == ("abc" if codec != "utf_16_le" else "扡\ufffd")


def test_no_name_from_a_message_reaches_the_codec_registry() -> None:
    before = set(sys.modules)
    for name in (b"antigravity", b"cp65001", b"no_such_module", b"palmos"):
        assert decode_octets(b"x", name) == "x"
    assert set(sys.modules) == before


FIELDS = [
    (b" plain \r\n text ", "plain  text"),
    (b"", ""),
    ("Grüße".encode(), "Grüße"),
    ("Grüße".encode("latin-1"), "Grüße"),
    (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    (b"=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
    (b"=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),
    (b"=?iso-8859-1?Q?Gr=FC=DFe_an_alle?=", "Grüße an alle"),
    (b"=?iso-8859-1*de?Q?Gr=FC=DFe?=", "Grüße"),
    # RFC 2047 section 8
    (b"=?ISO-8859-1?Q?a?= b", "a b"),
    (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
    (b"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
    (b"=?ISO-8859-1?Q?a?=\r\n\t=?ISO-8859-1?Q?b?=", "ab"),
    (b"=?ISO-8859-1?Q?a_b?=", "a b"),
    (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
    # a character in two words, words beside text, words in quotes, space in a word
    (b"=?utf-8?q?=C3?= =?UTF-8?q?=BC?=", "ü"),
    (b"=?utf-8?b?w7w=?=and=?utf-8?q?=C3=BC?=.", "üandü."),
    (b'"=?utf-8?q?=C3=BC?=" <u@x>', '"ü" <u@x>'),
    (b"=?utf-8?q?a b?=", "a b"),
    (b"=?utf-8?q??= x", " x"),
    # what is none
    (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
    (b"=?utf-8?q?a", "=?utf-8?q?a"),
    (b"=??q?a?=", "=??q?a?="),
    (b"=?no-such?q?=E4?=", "ä"),
    (b"=?utf-16?b?/w==?=", "\ufffd"),
    (b"=?gb2312?B?xOO6ww==?=", "你好"),
]


@pytest.mark.parametrize(("value", "text"), FIELDS)
def test_fields(value: bytes, text: str) -> None:
    assert decode_field(value) == text


@given(
    st.text(max_size=80).filter(lambda text: text == " ".join(text.split()) and "=?" not in text and text.isprintable())
)
def test_what_the_standard_library_encodes(text: str) -> None:
    assert decode_field(Header(text, "utf-8").encode("\r\n").encode()) == text


PIECES = [b"=?", b"?=", b"?q?", b"?B?", b"utf-8", b"utf-16", b"=E4", b"4", b" ", b"\r\n ", b"\xc3", b"\xbc", b"*", b"a"]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_field_is_text(value: bytes) -> None:
    assert isinstance(decode_field(value), str)


NAMES = sorted(
    {charset for charset, codec in CODECS if codec} | {b"utf-8", b"utf-16", b"utf-32", b"hz", b"iso-2022-kr"}
)


@given(st.binary(max_size=60), st.sampled_from(NAMES), st.integers(1, 7))
def test_blocks_of_anything_are_text(octets: bytes, charset: bytes, size: int) -> None:
    blocks = [octets[start : start + size] for start in range(0, len(octets), size)]
    text = "".join(decode_text(blocks, charset))
    text.encode()
    decode_octets(octets, charset).encode()
    if codec_name(charset) in ("cp1252", "cp1251", "koi8_r"):
        assert text == decode_octets(octets, charset)


@given(st.text(max_size=60), st.sampled_from([b"utf-8", b"utf-16", b"gb18030", b"utf-7", b""]), st.integers(1, 7))
def test_blocks_cut_no_character(text: str, charset: bytes, size: int) -> None:
    octets = text.encode(charset.decode() or "utf-8")
    blocks = [octets[start : start + size] for start in range(0, len(octets), size)]
    assert "".join(decode_text(blocks, charset)) == text


def test_no_half_of_a_character_comes_out() -> None:
    assert decode_octets(b"a+2AA-b", b"utf-7") == "".join(decode_text([b"a+2", b"AA-b"], b"utf-7")) == "a\ufffdb"


def test_a_text_that_stops_being_utf_8_is_latin_1_from_there() -> None:
    assert list(decode_text([b"\xc3\xbc", b"\xc3", b"\xbc", b"\xe4 ", b"\xc3\xbc"])) == ["ü", "", "ü", "ä ", "Ã¼", ""]
    assert "".join(decode_text([b"a\xc3"])) == "aÃ"


def test_parameters() -> None:
    parameters = (
        (b"plain", b"a b"),
        (b"word", b"=?utf-8?q?=C3=BC?="),
        (b"both", b"ue"),
        (b"both*", b"utf-8'de'%C3%BC%zz"),
        (b"raw", "ü".encode()),
        (b"broken*", b"nothing"),
    )
    wanted = {b"plain": "a b", b"word": "ü", b"raw": "ü", b"broken": "", b"absent": None}
    assert {name: decode_parameter(parameters, name) for name in wanted} == wanted
    assert decode_parameter(parameters[3:4], b"both") == "ü%zz"


@pytest.mark.parametrize("charset", [b"", b"us-ascii", b"UTF-8", b"iso-8859-15", b"cp1251", b"koi8-r", b"nonsense"])
def test_charsets_that_contain_ascii(charset: bytes) -> None:
    assert reads_ascii(charset)


@pytest.mark.parametrize("charset", [b"utf-7", b"utf-16", b"utf-16le", b"iso-2022-jp", b"hz", b"cp037"])
def test_charsets_that_do_not(charset: bytes) -> None:
    assert not reads_ascii(charset)
