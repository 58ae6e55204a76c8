"""ENVELOPE and BODYSTRUCTURE: the grammar for anything, strings, defaults, addresses that are none."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsrv.imap.structure import body_structure, envelope, nstring, string
from mailsrv.mail.address_list import MAX_ADDRESSES
from mailsrv.mail.mime import read_structure
from tests.mailsrv.imap.structure_reader import read_body, read_envelope
from tests.mailsrv.mail.messages import mutated_messages

DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO, MESSAGE_ID = range(10)

STRINGS = [
    (b"", b'""'),
    (b"plain text", b'"plain text"'),
    (b'a "quote" and \\', b'"a \\"quote\\" and \\\\"'),
    (b"tab\tbed", b'"tab\tbed"'),
    ("ä".encode(), b"{2}\r\n\xc3\xa4"),
    (b"\xff", b"{1}\r\n\xff"),
    (b"a\r\nb", b"{4}\r\na\r\nb"),
    (b"nul\0", b"{4}\r\nnul?"),
    (b"x" * 1000, b'"' + b"x" * 1000 + b'"'),
    (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
]


@pytest.mark.parametrize(("value", "octets"), STRINGS)
def test_a_string_is_quoted_where_it_can_be(value: bytes, octets: bytes) -> None:
    assert string(value) == nstring(value) == octets


def test_no_string_is_nil() -> None:
    assert nstring(None) == b"NIL"


def test_no_field_is_nil_and_an_empty_one_is_empty() -> None:
    assert envelope(b"") == envelope(b"\r\n") == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    found = read_envelope(envelope(b"Date:\r\nSubject: \r\nFrom:\r\nTo: \r\nIn-Reply-To:\r\nMessage-ID:\t\r\n\r\n"))
    assert found == [b"", b"", None, None, None, None, None, None, b"", b""]


@pytest.mark.parametrize("absent", [b"", b"Sender:\r\nReply-To: \r\n"])
def test_who_sends_and_gets_replies_is_the_author_when_nobody_else(absent: bytes) -> None:
    found = read_envelope(envelope(b"From: A <a@b>\r\n" + absent))
    assert found[FROM] == found[SENDER] == found[REPLY_TO] == [(b"A", None, b"a", b"b")]
    found = read_envelope(envelope(b"Sender: s@b\r\nFrom: a@b\r\nReply-To: r@b\r\n"))
    assert [found[place][0][2] for place in (FROM, SENDER, REPLY_TO)] == [b"a", b"s", b"r"]


def test_of_several_fields_all_addresses_and_the_first_text() -> None:
    found = read_envelope(envelope(b"From: a@b\r\nSubject: 1\r\nFROM : c@d\r\nsubject: 2\r\n"))
    assert found[FROM] == [(None, None, b"a", b"b"), (None, None, b"c", b"d")]
    assert found[SUBJECT] == b"1"


def test_a_group_has_a_beginning_and_an_end() -> None:
    assert envelope(b"To: Friends: a@b;\r\n") == (
        b'(NIL NIL NIL NIL NIL ((NIL NIL "Friends" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)) NIL NIL NIL NIL)'
    )


def test_an_address_that_lacks_something_is_no_group() -> None:
    assert read_envelope(envelope(b"To: alone, nobody <>\r\n"))[TO] == [
        (None, None, b"alone", b"MISSING_DOMAIN"),
        (b"nobody", None, b"MISSING_MAILBOX", b"MISSING_DOMAIN"),
    ]


def test_texts_are_unfolded_and_never_decoded() -> None:
    header = b"Subject: =?utf-8?q?a?=\n\t=?utf-8?q?b?=  \nIn-Reply-To: <1@a>\r\n <2@a>\r\n\r\n"
    found = read_envelope(envelope(header))
    assert found[SUBJECT] == b"=?utf-8?q?a?=\t=?utf-8?q?b?="
    assert found[IN_REPLY_TO] == b"<1@a> <2@a>"


def test_fields_beside_each_other_are_all_seen() -> None:
    header = b"To: t@b\r\nCc: c@b\r\nBcc: x@b\r\nDate: d\r\nMessage-ID: <m>\r\nX-Subject: no\r\nSubject-X: no\r\n"
    found = read_envelope(envelope(header))
    assert [found[place][0][2] for place in (TO, CC, BCC)] == [b"t", b"c", b"x"]
    assert [found[place] for place in (DATE, SUBJECT, MESSAGE_ID)] == [b"d", None, b"<m>"]


def test_many_addresses_end_somewhere() -> None:
    found = read_envelope(envelope(b"To: a@b\r\n" * 3 + b"To: " + b"x," * (1 << 18) + b"\r\n" + b"To: late@b\r\n"))
    assert len(found[TO]) <= 2 * MAX_ADDRESSES
    assert found[TO][-1][2] == b"x"


def test_a_text_names_a_charset_and_nothing_else_does() -> None:
    assert body_structure(read_structure(b"\r\nText.\r\n"), False) == (
        b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 7 1)'
    )
    other = read_structure(b"Content-Type: image/png\r\n\r\nx")
    assert body_structure(other, False) == b'("IMAGE" "PNG" NIL NIL NIL "7BIT" 1)'
    assert body_structure(other, True) == b'("IMAGE" "PNG" NIL NIL NIL "7BIT" 1 NIL NIL NIL NIL)'
    named = read_structure(b"Content-Type: text/html; charset*0=utf;charset*1=-8\r\n\r\n")
    assert body_structure(named, False) == b'("TEXT" "HTML" ("CHARSET" "utf-8") NIL NIL "7BIT" 0 0)'


def test_one_language_is_a_string_and_several_are_a_list() -> None:
    for value, octets in ((b"en", b'"en"'), (b"en, de", b'("en" "de")'), (b"", b"NIL"), (b" , ", b"NIL")):
        part = read_structure(b"Content-Language: " + value + b"\r\n\r\n")
        assert body_structure(part, True).endswith(b" NIL NIL " + octets + b" NIL)")


def test_body_has_no_extension_at_any_depth() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: en\r\n\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\nContent-MD5: x\r\n\r\nContent-Location: y\r\n\r\n--b--\r\n"
    )
    part = read_structure(message)
    inner = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 0 0)'
    none = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    assert body_structure(part, False) == (
        b'(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 21 ' + none + b" " + inner + b' 1) "MIXED")'
    )
    body = read_body(body_structure(part, True))
    assert body[-1] == [[(b"BOUNDARY", b"b")], None, b"en", None]
    assert body[0][-1] == [b"x", None, None, None]
    assert body[0][8][-1] == [None, None, None, b"y"]


@given(st.one_of(st.binary(max_size=600), mutated_messages()))
@example(b"Content-Type: multipart/x\r\n\r\n")
@example(b"Content-Type: message/global\r\n\r\n")
@example(b'Content-Disposition: ;=\r\nContent-ID:\r\nFrom: ((;<@:"')
def test_whatever_a_message_is_its_structure_keeps_the_grammar(message: bytes) -> None:
    part = read_structure(message)
    plain = read_body(body_structure(part, False))
    full = read_body(body_structure(part, True))
    assert without_extension(full) == plain
    found = read_envelope(envelope(message[: part.header.length]))
    if found[FROM]:
        assert found[SENDER] and found[REPLY_TO]
    for place in range(FROM, BCC + 1):
        check_groups(found[place] or [])


def without_extension(value):
    """A body without its extension data, which must be there."""
    if not isinstance(value, list):
        return value
    if len(value) == 10 and not isinstance(value[6], int):
        return value  # an envelope
    if isinstance(value[-1], list) and len(value[-1]) == 4 and isinstance(value[0], bytes | list):
        return [without_extension(one) for one in value[:-1]] + [None]
    return value


def check_groups(addresses) -> None:
    """Groups begin and end in turns."""
    inside = False
    for _, _, local_part, domain in addresses:
        if domain is None:
            assert (local_part is not None) != inside
            inside = not inside
    assert not inside


def test_the_octets_hold_no_line_end_but_a_literals() -> None:
    header = b"Subject: \xe4\r\n b\r\nFrom: \xf6 <a@b>\r\n"
    assert re.sub(rb"\{[0-9]+\}\r\n", b"", envelope(header)).find(b"\n") < 0
