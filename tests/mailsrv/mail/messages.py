"""Messages for the tests of everything that reads them: trees that are sound, the cases on disk, and both broken."""

from functools import cache
from pathlib import Path

from hypothesis import strategies as st

CASES = Path(__file__).resolve().parents[2] / "cases" / "mime"

# What means something to a reader of messages, for wrong places.
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\r\n--",
    b"--\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"\r\n--b\r\n",
    b"\r\n--b--\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%e4; filename*1=x\r\n",
    b"From: ",
    b";",
    b'"',
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b",",
    b":",
    b"=",
    b"=?utf-8?q?=C3?=",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
]


@cache
def case_messages() -> tuple[bytes, ...]:
    """The messages of tests/cases/mime with CRLF."""
    return tuple(path.read_bytes().replace(b"\n", b"\r\n") for path in sorted(CASES.glob("*.eml")))


@st.composite
def mutated_messages(draw):
    """A case with some slices removed, doubled, moved, or replaced by pieces."""
    message = draw(st.sampled_from(case_messages()))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(message)))
        end = min(len(message), start + draw(st.integers(0, 60)))
        middle = draw(st.sampled_from([b"", message[start:end] * 2, *PIECES]))
        message = message[:start] + middle + message[end:]
    return message.replace(b"\r\n", b"\n") if draw(st.booleans()) else message


@st.composite
def sound_messages(draw):
    """(octets, tree): a message as RFC 2046 wants it, and what it is made of: (type, [trees]) for a multipart or an
    enclosed message, (type, body) for anything else."""
    return _entity(draw, 0, [0])


def _entity(draw, depth, counter):
    kinds = ["text/plain", "text/html", "application/pdf"]
    if depth < 4:
        kinds += ["multipart/mixed", "multipart/alternative", "message/rfc822"]
    kind = draw(st.sampled_from(kinds))
    header = f"Content-Type: {kind}".encode()
    if kind.startswith("multipart/"):
        counter[0] += 1
        boundary = b"=_%d" % counter[0]  # one is often the beginning of another
        children = [_entity(draw, depth + 1, counter) for _ in range(draw(st.integers(1, 3)))]
        preamble = draw(st.sampled_from([b"", b"preamble\r\n", b"--\r\n\r\n"]))
        body = preamble + b"".join(b"--%b\r\n%b\r\n" % (boundary, octets) for octets, _ in children)
        body += b"--%b--" % boundary + draw(st.sampled_from([b"", b"\r\n", b"  \r\nepilogue\r\n"]))
        header += b'; boundary="%b"' % boundary
        return header + b"\r\n\r\n" + body, (kind, [tree for _, tree in children])
    if kind == "message/rfc822":
        octets, tree = _entity(draw, depth + 1, counter)
        return header + b"\r\n\r\n" + octets, (kind, [tree])
    lines = draw(st.lists(st.sampled_from([b"", b"text", b"-- ", b"--", b"--=_", b"--=_x--", b"From: x"]), max_size=4))
    body = b"\r\n".join(lines)
    return header + b"\r\n\r\n" + body, (kind, body)
