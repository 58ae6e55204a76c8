"""The messages of tests/cases/mime: what is made of each, octet by octet.

NAME.eml is a message (its line ends are CRLF when it is read); NAME.expect holds its ENVELOPE, BODYSTRUCTURE and
preview, each behind a line with its name. 01 to 03 have the shapes of the examples in the RFCs they are named after.
"""

import re
from email import message_from_bytes

import pytest

from mailsrv.imap.structure import body_structure, envelope
from mailsrv.mail.mime import read_structure
from mailsrv.mail.preview import preview
from tests.mailsrv.imap.structure_reader import read_body, read_envelope
from tests.mailsrv.mail.messages import CASES

NAMES = sorted(path.stem for path in CASES.glob("*.eml"))

# Where the standard library sees something else, and why.
NOT_AS_THE_LIBRARY = {
    "06-wrong-boundary": "it has no part where no line is a boundary; we show the text",
    "08-rfc2231-parameters": "it reads the empty body of an external body as a message of its own",
    "11-report": "it takes a delivery status apart into blocks; to IMAP it is one part",
}


def read_case(name: str) -> tuple[bytes, dict[bytes, bytes]]:
    message = (CASES / f"{name}.eml").read_bytes().replace(b"\n", b"\r\n")
    expected = (CASES / f"{name}.expect").read_bytes().replace(b"\n", b"\r\n")
    pieces = re.split(rb"^([A-Z]+)\r\n", expected, flags=re.MULTILINE)[1:]
    return message, {key: value.removesuffix(b"\r\n") for key, value in zip(pieces[::2], pieces[1::2], strict=True)}


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str) -> None:
    message, expected = read_case(name)
    part = read_structure(message)
    assert envelope(message[: part.header.length]) == expected[b"ENVELOPE"]
    assert body_structure(part, True) == expected[b"BODYSTRUCTURE"]
    assert preview(message, part).encode() == expected[b"PREVIEW"]
    assert len(expected) == 3
    read_envelope(expected[b"ENVELOPE"])
    read_body(expected[b"BODYSTRUCTURE"])


@pytest.mark.parametrize("name", NAMES)
def test_case_with_bare_line_feeds(name: str) -> None:
    message, expected = read_case(name)
    message = message.replace(b"\r\n", b"\n")
    part = read_structure(message)
    assert envelope(message[: part.header.length]) == expected[b"ENVELOPE"]
    assert preview(message, part).encode() == expected[b"PREVIEW"]
    sizes = re.compile(rb"(?<= )[0-9]+(?=[ )])")
    assert sizes.sub(b"N", body_structure(part, True)) == sizes.sub(b"N", expected[b"BODYSTRUCTURE"])


def library_types(entity) -> list:
    content = entity.get_payload()
    return [entity.get_content_type(), *(map(library_types, content) if isinstance(content, list) else ())]


def our_types(part) -> list:
    return [f"{part.type.decode()}/{part.subtype.decode()}", *map(our_types, part.parts)]


@pytest.mark.parametrize("name", NAMES)
def test_the_standard_library_sees_the_same_parts(name: str) -> None:
    message, _ = read_case(name)
    same = library_types(message_from_bytes(message)) == our_types(read_structure(message))
    assert same == (name not in NOT_AS_THE_LIBRARY)


def test_every_expectation_has_its_message() -> None:
    assert NAMES == sorted(path.stem for path in CASES.glob("*.expect"))
