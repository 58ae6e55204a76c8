"""The structure of messages: trees, spans, numbers of parts, bounds, and anything at all."""

import email
import mmap
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsrv.imap.structure import body_structure
from mailsrv.mail.mime import (
    MAX_BOUNDARY,
    MAX_DEPTH,
    MAX_ENCLOSED,
    MAX_HEADER,
    MAX_LOOKALIKES,
    MAX_PARTS,
    Part,
    Span,
    read_structure,
)
from tests.mailsrv.mail.messages import CASES, case_messages, mutated_messages, sound_messages

SECONDS = 3.0  # of CPU for a hostile message of 1 MiB: some ten times what is needed


def kind_of(part: Part) -> str:
    return f"{part.type.decode()}/{part.subtype.decode()}"


def octets_of(message: bytes, span: Span | None) -> bytes:
    assert span is not None
    return message[span.offset : span.end]


def tree_of(message: bytes, part: Part) -> tuple:
    """A structure in the form of `sound_messages`."""
    if part.is_multipart or part.is_message:
        return kind_of(part), [tree_of(message, one) for one in part.parts]
    return kind_of(part), octets_of(message, part.body)


@given(sound_messages())
def test_a_sound_message_is_read_as_it_was_made(made: tuple[bytes, tuple]) -> None:
    message, tree = made
    part = read_structure(message)
    assert tree_of(message, part) == tree
    check_spans(message, part)
    bare = message.replace(b"\r\n", b"\n")
    assert tree_of(bare, read_structure(bare)) == bare_tree(tree)


def bare_tree(tree: tuple) -> tuple:
    kind, content = tree
    if isinstance(content, bytes):
        return kind, content.replace(b"\r\n", b"\n")
    return kind, [bare_tree(one) for one in content]


@given(sound_messages())
def test_the_standard_library_reads_the_same(made: tuple[bytes, tuple]) -> None:
    message, _ = made

    def library_tree(entity: email.message.Message) -> tuple:
        content = entity.get_payload()
        if isinstance(content, list):
            return entity.get_content_type(), [library_tree(one) for one in content]
        return entity.get_content_type(), content.encode()

    assert library_tree(email.message_from_bytes(message)) == tree_of(message, read_structure(message))


def check_spans(message: bytes, part: Part) -> None:
    """Every part has its header, then its body; parts lie in their parent's body, in order and apart."""
    assert part.header.end == part.body.offset
    assert 0 <= part.header.offset and part.header.length >= 0 and part.body.length >= 0
    assert part.body.end <= len(message)
    position = part.body.offset
    for one in part.parts:
        assert one.header.offset >= position
        position = one.body.end
        check_spans(message, one)
    assert position <= part.body.end
    if part.is_message:
        assert part.parts[0].whole == part.body
        assert part.enclosed_header == octets_of(message, part.parts[0].header)
    if part.type == b"text" or part.is_message:
        assert part.lines == octets_of(message, part.body).count(b"\n")


@given(st.one_of(st.binary(max_size=400), mutated_messages()))
@example(b"\n")
@example(b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n")
@example(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--")
@example(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n--b")
def test_anything_has_a_structure(message: bytes) -> None:
    part = read_structure(message)
    assert part.whole == Span(0, len(message))
    check_spans(message, part)
    for one in walk(part):
        assert not one.is_multipart or one.parts


@given(mutated_messages())
def test_every_kind_of_memory_is_read_alike(message: bytes) -> None:
    part = read_structure(message)
    assert read_structure(memoryview(message)) == part
    if message:
        with mmap.mmap(-1, len(message)) as mapped:
            mapped[:] = message
            assert read_structure(mapped) == part


def walk(part: Part) -> list[Part]:
    return [part, *(inner for one in part.parts for inner in walk(one))]


# The example of RFC 9051 section 6.4.5.1: path, section text, how the octets begin.
SECTIONS = [
    ((), "", b"From: a@example.org\r\n"),
    ((), "HEADER", b"From: a@example.org\r\n"),
    ((), "TEXT", b"--out\r\nContent-Type: text/plain\r\n"),
    ((1,), "", b"one"),
    ((1,), "MIME", b"Content-Type: text/plain\r\n\r\n"),
    ((2,), "", b"two"),
    ((3,), "", b"Subject: three\r\n"),
    ((3,), "HEADER", b"Subject: three\r\n"),
    ((3,), "TEXT", b"--three\r\n"),
    ((3,), "MIME", b"Content-Type: message/rfc822\r\n\r\n"),
    ((3, 1), "", b"three one"),
    ((3, 2), "", b"three two"),
    ((3, 2), "MIME", b"Content-Type: application/octet-stream\r\n\r\n"),
    ((4,), "", b"--four\r\n"),
    ((4, 1), "", b"R0lG"),
    ((4, 1), "MIME", b"Content-Type: image/gif\r\n"),
    ((4, 2, 1), "", b"four two one"),
    ((4, 2), "HEADER", b"Subject: four two\r\n"),
    ((4, 2), "TEXT", b"--fourtwo\r\n"),
    ((4, 2, 2), "", b"--fourtwotwo\r\n"),
    ((4, 2, 2, 1), "", b"plain"),
    ((4, 2, 2, 2), "", b"rich"),
]
WHOLE = {b"one", b"two", b"three one", b"three two", b"R0lG", b"four two one", b"plain", b"rich"}
NO_SECTIONS = [
    ((0,), ""),
    ((5,), ""),
    ((1, 1), ""),
    ((3, 3), ""),
    ((3, 1, 1), ""),
    ((-1,), ""),
    ((), "MIME"),
    ((1,), "HEADER"),
    ((1,), "TEXT"),
    ((4,), "HEADER"),
    ((4, 2, 2), "TEXT"),
]


@pytest.fixture(scope="module")
def nested() -> bytes:
    return (CASES / "02-rfc9051-sections.eml").read_bytes().replace(b"\n", b"\r\n")


@pytest.mark.parametrize(("path", "text", "beginning"), SECTIONS)
def test_sections(nested: bytes, path: tuple[int, ...], text: str, beginning: bytes) -> None:
    octets = octets_of(nested, read_structure(nested).section(path, text))
    assert octets.startswith(beginning)
    if beginning in WHOLE:
        assert octets == beginning
    if text in ("HEADER", "MIME"):
        assert octets.endswith(b"\r\n\r\n") and octets.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize(("path", "text"), NO_SECTIONS)
def test_no_sections(nested: bytes, path: tuple[int, ...], text: str) -> None:
    assert read_structure(nested).section(path, text) is None


def test_header_and_text_are_the_whole(nested: bytes) -> None:
    part = read_structure(nested)
    assert octets_of(nested, part.section(())) == nested
    for path in ((), (3,), (4, 2)):
        both = octets_of(nested, part.section(path, "HEADER")) + octets_of(nested, part.section(path, "TEXT"))
        assert both == octets_of(nested, part.section(path))


def test_a_message_without_parts_is_its_own_part_1() -> None:
    message = b"Subject: x\r\n\r\nbody\r\n"
    part = read_structure(message)
    assert octets_of(message, part.section((1,))) == b"body\r\n"
    assert octets_of(message, part.section((1,), "MIME")) == b"Subject: x\r\n\r\n"
    assert part.section((2,)) is part.section((1, 1)) is part.section((1,), "TEXT") is None


def test_so_is_a_message_in_a_message() -> None:
    message = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody"
    part = read_structure(message)
    assert octets_of(message, part.section((1,))) == b"Subject: in\r\n\r\nbody"
    assert octets_of(message, part.section((1,), "HEADER")) == b"Subject: in\r\n\r\n"
    assert octets_of(message, part.section((1,), "TEXT")) == b"body"
    assert octets_of(message, part.section((1, 1))) == b"body"
    assert octets_of(message, part.section((1, 1), "MIME")) == b"Subject: in\r\n\r\n"
    assert part.section((1, 1, 1)) is None


MULTIPART = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"

# A body behind MULTIPART with the boundary b, and the bodies of the parts.
BODIES = [
    (b"--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n", [b"1", b"2"]),
    (b"--b\n\n1\n--b\n\n2\n--b--\n", [b"1", b"2"]),
    (b"pre\r\n--b\r\n\r\n1\r\n--b--\r\n--b\r\n\r\nnot a part\r\n", [b"1"]),
    (b"--b\r\n\r\n1", [b"1"]),
    (b"--b\r\n\r\n1\r\n", [b"1\r\n"]),
    (b"--b\r\n\r\n1\r\n--b", [b"1", b""]),
    (b"--b", [b""]),
    (b"--b\r\n--b\r\n--b--", [b"", b""]),
    (b"--b\r\nno header ends here\r\n--b--", [b""]),
    (b"--b\r\n\r\n--bb\r\n --b\r\n--b x\r\n--b-\r\n--b---\r\nx--b\r\n--b \t\r\n\r\n2\r\n--b-- \r\n",
     [b"--bb\r\n --b\r\n--b x\r\n--b-\r\n--b---\r\nx--b", b"2"]),
    (b"--b\r\n\r\n1\r\r\n--b--", [b"1\r"]),
    (b"--B\r\n\r\nwrong\r\n--B--\r\n", [b"--B\r\n\r\nwrong\r\n--B--\r\n"]),
    (b"--b--\r\nno part", [b"--b--\r\nno part"]),
    (b"", [b""]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "parts"), BODIES)
def test_where_boundaries_are(body: bytes, parts: list[bytes]) -> None:
    message = MULTIPART % b"b" + body
    assert [octets_of(message, one.body) for one in read_structure(message).parts] == parts


@pytest.mark.parametrize("boundary", [b"=_" + b"x" * 200, b"a'()+_,-./:=?", b"a b", b"b--", b"-", b"x" * MAX_BOUNDARY])
def test_boundaries_of_every_kind(boundary: bytes) -> None:
    message = MULTIPART % (b'"' + boundary + b'"') + b"--%b\r\n\r\n1\r\n--%b--\r\n" % (boundary, boundary)
    (part,) = read_structure(message).parts
    assert octets_of(message, part.body) == b"1"


@pytest.mark.parametrize("boundary", [b'""', b'" "', b"x" * (MAX_BOUNDARY + 1)])
def test_what_is_no_boundary(boundary: bytes) -> None:
    message = MULTIPART % boundary + b"--\r\n\r\n1\r\n----\r\n"
    (part,) = read_structure(message).parts
    assert kind_of(part) == "text/plain"
    assert part.body == Span(len(message) - 15, 15)


def test_the_outer_boundary_ends_what_is_inside() -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\n" + MULTIPART % b"in" + b"--in\r\n\r\n1\r\n"
    message = MULTIPART % b"out" + b"--out\r\n" + inner + b"--out\r\n\r\n2\r\n--in\r\n--out--\r\n"
    part = read_structure(message)
    assert octets_of(message, part.section((1, 1))) == b"1"
    assert octets_of(message, part.section((2,))) == b"2\r\n--in"


def test_a_part_with_the_boundary_around_it_has_it_to_itself() -> None:
    message = MULTIPART % b"b" + b"--b\r\n\r\n1\r\n--b\r\n" + MULTIPART % b"b"
    message += b"--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--\r\n\r\n--b\r\n\r\n4\r\n--b--\r\n"
    part = read_structure(message)
    assert len(part.parts) == 3
    bodies = {(1,): b"1", (2, 1): b"2", (2, 2): b"3", (3,): b"4"}
    assert {path: octets_of(message, part.section(path)) for path in bodies} == bodies
    check_spans(message, part)
    twice = MULTIPART % b"b" + (b"--b\r\n" + MULTIPART % b"b" + b"--b\r\n\r\nx\r\n--b--\r\n") * 2 + b"--b--"
    assert [len(one.parts) for one in read_structure(twice).parts] == [1, 1]
    empty = MULTIPART % b"b" + b"--b\r\n--b\r\n" + MULTIPART % b"b" + b"--b\r\n\r\n1\r\n--b--\r\n--b--"
    assert [kind_of(one) for one in read_structure(empty).parts] == ["text/plain", "multipart/mixed"]


def test_an_extended_boundary_is_one() -> None:
    message = b"Content-Type: multipart/mixed; boundary*=us-ascii''a%3db\r\n\r\n--a=b\r\n\r\n1\r\n--a=b--\r\n"
    (part,) = read_structure(message).parts
    assert octets_of(message, part.body) == b"1"
    assert read_structure(b"Content-Type: text/x; charset*=us-ascii'en'utf-8\r\n\r\n").charset == b"utf-8"


TYPES = [
    (b"", "text/plain"),
    (b"Text/HTML", "text/html"),
    (b" image / png ; x=y", "image/png"),
    (b"text", "text/plain"),
    (b"/plain", "text/plain"),
    (b"\xff/\xfe", "text/plain"),
    (b'"image"/png', "text/plain"),
    (b"application/x; charset=y", "application/x"),
    (b"\r\n application/pdf", "application/pdf"),
]


@pytest.mark.parametrize(("value", "kind"), TYPES)
def test_types(value: bytes, kind: str) -> None:
    assert kind_of(read_structure(b"Content-Type:" + value + b"\r\n\r\n")) == kind


def test_a_header_may_be_everything_and_nothing() -> None:
    assert read_structure(b"").whole == Span(0, 0)
    assert read_structure(b"\r\nbody").header == Span(0, 2)
    assert read_structure(b"Subject: x").header == Span(0, 10)
    assert read_structure(b"Subject: x\r\n").body == Span(12, 0)
    assert read_structure(b"a\n\nb\r\n\r\n").header == Span(0, 3)
    assert read_structure(b"a\r\n\r\nb\n\n").header == Span(0, 5)


def test_values_are_as_sent_and_words_in_lower_case() -> None:
    message = (CASES / "09-all-fields.eml").read_bytes().replace(b"\n", b"\r\n")
    part = read_structure(message)
    assert (part.type, part.subtype, part.encoding, part.charset) == (b"text", b"html", b"quoted-printable", b"utf-8")
    assert part.parameters == ((b"charset", b"utf-8"), (b"format", b"flowed"))
    assert part.disposition == (b"inline", ((b"filename", b"a;b.html"),))
    assert (part.id, part.description) == (b"<part@example.org>", b'"What" it is')
    assert (part.language, part.location) == ((b"en", b"de-CH"), b"http://example.org/a.html")
    assert part.md5 == b"Q2hlY2sgSW50ZWdyaXR5IQ=="


@pytest.mark.parametrize("kind", [MULTIPART, b"Content-Type: message/rfc822\r\n\r\n"])
def test_depth_is_bounded(kind: bytes) -> None:
    message = b"".join(kind % (b"b%d" % n) + b"--b%d\r\n" % n if b"%b" in kind else kind for n in range(MAX_DEPTH + 5))
    part = read_structure(message)
    depth = 0
    while part.parts:
        (part,) = part.parts
        depth += 1
    assert depth == MAX_DEPTH
    assert kind_of(part) == "application/octet-stream"
    assert part.whole.end == len(message)


def test_parts_are_bounded_and_the_rest_is_one() -> None:
    message = MULTIPART % b"b" + b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 50) + b"--b--\r\n"
    part = read_structure(message)
    assert len(walk(part)) == MAX_PARTS
    assert {kind_of(one) for one in part.parts[:-1]} == {"text/plain"}
    assert kind_of(part.parts[-1]) == "application/octet-stream"
    assert part.parts[-1].body.end == part.body.end
    exact = MULTIPART % b"b" + b"--b\r\n\r\nx\r\n" * (MAX_PARTS - 1) + b"--b--\r\n"
    assert kind_of(read_structure(exact).parts[-1]) == "text/plain"


def test_parts_are_bounded_over_all_multiparts() -> None:
    inner = MULTIPART % b"in" + b"--in\r\n\r\nx\r\n" * 60
    message = MULTIPART % b"out" + (b"--out\r\n" + inner + b"\r\n") * 60 + b"--out--\r\n"
    parts = walk(read_structure(message))
    assert len(parts) == MAX_PARTS
    assert all(one.parts or not one.is_multipart for one in parts)


def test_lookalikes_are_bounded() -> None:
    lines = b"--bx\r\n" * MAX_LOOKALIKES
    message = MULTIPART % b"b" + b"--b\r\n\r\n" + lines + b"--b\r\n\r\nlast"
    assert len(read_structure(message).parts) == 2
    message = MULTIPART % b"b" + b"--b\r\n\r\n" + lines + b"--bx\r\n--b\r\n\r\nnot seen"
    (part,) = read_structure(message).parts
    assert part.body.end == len(message)


def test_the_headers_that_are_kept_are_bounded() -> None:
    inner = b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: " + b"x" * (MAX_ENCLOSED // 2) + b"\r\n\r\n\r\n"
    part = read_structure(MULTIPART % b"b" + inner * 4)
    assert sum(len(one.enclosed_header or b"") for one in part.parts) == MAX_ENCLOSED
    assert all(one.is_message for one in part.parts)


def test_the_header_that_is_read_is_bounded_and_its_span_is_not() -> None:
    message = b"X: " + b"y" * MAX_HEADER + b"\r\nContent-Type: image/png\r\n\r\nbody"
    part = read_structure(message)
    assert kind_of(part) == "text/plain"
    assert octets_of(message, part.body) == b"body"


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "lines of dashes": lambda n: MULTIPART % b"b" + b"--\r\n" * (n // 4),
    "almost boundaries": lambda n: MULTIPART % b"b" + b"--bx\r\n" * (n // 6),
    "boundaries with space": lambda n: MULTIPART % b"b" + (b"--b" + b" " * 300 + b"\n") * (n // 304),
    "boundaries": lambda n: MULTIPART % b"b" + b"--b\r\n" * (n // 5),
    "repetitive boundary": lambda n: MULTIPART % (b"-" * 90) + b"-" * n,
    "no empty lines": lambda n: MULTIPART % b"b" + (b"--b\r\n" + b"x\n" * 500) * (n // 1005),
    "nested": lambda n: b"".join(MULTIPART % (b"b%d" % i) + b"--b%d\r\n" % i for i in range(19)) + b"\n--" * (n // 3),
    "same boundary": lambda n: (MULTIPART % b"b" + b"--b\r\n") * (n // 54),
    "same boundary, many": lambda n: (MULTIPART % b"b" + b"--b\r\n") * 19 + b"--b\r\n" * (n // 5),
    "messages": lambda n: b"Content-Type: message/rfc822\r\n\r\n" * (n // 32),
    "fields": lambda n: b"Content-Type: a/b\r\n" * (n // 19),
    "folds": lambda n: b"Content-Type: a/b\r\n" + b" ;\r\n" * (n // 4),
    "semicolons": lambda n: b"Content-Type: a/b" + b";" * n,
    "parameters": lambda n: b"Content-Type: a/b" + b"; a=" * (n // 4),
    "quotes": lambda n: b"Content-Type: a/b" + b'; a="\\' * (n // 6),
    "continuations": lambda n: b"Content-Type: a/b" + b"; a*0=x" * (n // 7),
    "parentheses": lambda n: b"Content-Language: " + b"(" * n,
    "spaces": lambda n: b"Content-Type" + b" " * n + b"Content-Disposition: " + b" " * n,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_messages_take_time_in_proportion(make: Callable[[int], bytes]) -> None:
    message = make(1 << 20)
    for octets in (message, memoryview(message)):
        before = time.process_time()
        body_structure(read_structure(octets), True)
        assert time.process_time() - before < SECONDS


def test_the_cases_are_there() -> None:
    assert len(case_messages()) > 10
