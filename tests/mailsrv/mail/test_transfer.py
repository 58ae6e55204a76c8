"""Transfer encodings undone, in blocks, whatever the octets are."""

import base64
import quopri
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsrv.mail import transfer
from mailsrv.mail.mime import Span
from mailsrv.mail.transfer import KNOWN, decode, decoded_size

CASES = [
    (b"base64", b"SGVsbG8=", b"Hello"),
    (b"base64", b"SGVs\r\nbG8=\r\n", b"Hello"),
    (b"base64", b"S-G_V s!bG8", b"Hello"),
    (b"base64", b"SGVsbG", b"Hell"),
    (b"base64", b"SGVsb", b"Hel"),
    (b"base64", b"SGVsbG8=SGVsbG8=", b"Hello"),
    (b"base64", b"SGVsbA==\r\n--footer", b"Hell"),
    (b"base64", b"====", b""),
    (b"base64", b"", b""),
    (b"quoted-printable", b"a=3Db=\r\nc \t\r\n=e4\r\n", b"a=bc\r\n\xe4\r\n"),
    (b"quoted-printable", b"soft= \r\nbreak", b"softbreak"),
    (b"quoted-printable", b"=ZZ=4", b"=ZZ=4"),
    (b"quoted-printable", b"ends=", b"ends"),
    (b"quoted-printable", b"under_score\nspace  ", b"under_score\nspace"),
    (b"7bit", b"a=3Db", b"a=3Db"),
    (b"8bit", b"\xff", b"\xff"),
    (b"binary", b"\0", b"\0"),
    (b"x-unknown", b"as it is", b"as it is"),
]


@pytest.mark.parametrize("block", [transfer.BLOCK, 1, 2, 3, 5])
@pytest.mark.parametrize(("encoding", "encoded", "decoded"), CASES)
def test_decoding(encoding: bytes, encoded: bytes, decoded: bytes, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BLOCK", block)
    octets = b"before" + encoded + b"behind"
    span = Span(6, len(encoded))
    blocks = list(decode(octets, span, encoding))
    assert b"".join(blocks) == decoded
    assert b"" not in blocks
    assert decoded_size(memoryview(octets), span, encoding) == len(decoded)


def test_what_can_be_undone() -> None:
    assert {encoding for encoding, *_ in CASES} - {b"x-unknown"} == KNOWN


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_the_standard_library_encodes(octets: bytes, block: int) -> None:
    text = octets.replace(b"\r", b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "BLOCK", block)
        for encoding, encoded, decoded in (
            (b"base64", base64.encodebytes(octets), octets),
            (b"quoted-printable", quopri.encodestring(text), text),
        ):
            assert b"".join(decode(encoded, Span(0, len(encoded)), encoding)) == decoded


PIECES = st.lists(
    st.sampled_from([b"=", b"=\r\n", b"=\n", b"\r", b"\n", b" ", b"\t", b"=4", b"1", b"A", b"_", b"\xff"])
)


@given(PIECES.map(b"".join), st.integers(1, 20))
@example(b"= \r\n", 2)
@example(b"a= ", 1)
def test_blocks_change_nothing(octets: bytes, block: int) -> None:
    span = Span(0, len(octets))
    for encoding in (b"base64", b"quoted-printable"):
        whole = b"".join(decode(octets, span, encoding))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transfer, "BLOCK", block)
            assert b"".join(decode(octets, span, encoding)) == whole


@pytest.mark.parametrize("piece", [b"=", b"A", b" ", b" \n", b"=\r\n", b"=41", b"= ", b"\xff"])
def test_hostile_bodies_take_time_in_proportion(piece: bytes) -> None:
    octets = piece * ((1 << 22) // len(piece))
    for encoding in (b"base64", b"quoted-printable"):
        before = time.process_time()
        assert decoded_size(octets, Span(0, len(octets)), encoding) <= len(octets)
        assert time.process_time() - before < 3.0
