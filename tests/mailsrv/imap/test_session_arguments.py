"""Login, ENABLE, ID, COMPRESS and STARTTLS."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.imap.session_arguments import NOTHING, Authenticate, Compress, Enable, Id, Login, read_base64
from mailsrv.imap.situation import Offer
from tests.mailsrv.imap.parsing import complain, make_situation, read


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("NOOP", b"", NOTHING),
        ("LOGIN", b'alice "a \\"b\\""', Login("alice", 'a "b"')),
        ("LOGIN", '{2}\r\né "ü"'.encode(), Login("é", "ü")),
        ("AUTHENTICATE", b"plain", Authenticate("PLAIN", None)),
        ("AUTHENTICATE", b"PLAIN =", Authenticate("PLAIN", b"")),
        ("AUTHENTICATE", b"PLAIN AGEAYg==", Authenticate("PLAIN", b"\0a\0b")),
        ("ENABLE", b"CONDSTORE foo condstore", Enable(("CONDSTORE",))),
        ("ENABLE", b"utf8=accept IMAP4REV2 UIDONLY", Enable(("UTF8=ACCEPT", "IMAP4rev2", "UIDONLY"))),
        ("ID", b"nil", Id(None)),
        ("ID", b"()", Id(())),
        ("ID", b'("a" "b" "c" NIL)', Id((("a", "b"), ("c", None)))),
        ("ID", b'("a" "\xff")', Id((("a", "\ufffd"),))),
        ("COMPRESS", b"deflate", Compress()),
    ],
)
def test_arguments(name: str, text: bytes, found: object) -> None:
    assert read(name, text) == found


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("LOGIN", b"alice", "expected a space and a password"),
        ("LOGIN", b"alice a b", "expected the end of the command"),
        ("LOGIN", b'alice "\xff"', "expected a password in UTF-8"),
        ("AUTHENTICATE", b"PLAIN  AGEAYg==", "expected base64"),
        ("AUTHENTICATE", b"PLAIN AGEAYg==A", "expected base64"),
        ("AUTHENTICATE", b"PLAIN A", "expected base64"),
        ("AUTHENTICATE", b"LOGIN", "NO [CANNOT] this mechanism is not offered"),
        ("ENABLE", b"", "expected a space and a capability"),
        ("ENABLE", b"a  b", "expected a capability"),
        ("ENABLE", b" ".join([b"a"] * 101), "at most 100"),
        ("ID", b'("a" "b" "c")', "expected a value for each field"),
        ("ID", b'(NIL "b")', "expected fields of at most"),
        ("ID", b'("a" "' + b"b" * 1025 + b'")', "values of at most 1024"),
        ("ID", b"(" + b" ".join([b'"a"'] * 61) + b")", "at most 60 items"),
        ("ID", b"(a b)", "expected a string or NIL"),
        ("COMPRESS", b"GZIP", "BAD the only algorithm is DEFLATE"),
        ("STARTTLS", b"", "BAD TLS is active already"),
    ],
)
def test_what_is_wrong(name: str, text: bytes, complaint: str) -> None:
    assert complaint in complain(name, text)


def test_the_offer_decides() -> None:
    clear = make_situation(offer=Offer(starttls=True), tls=False)
    assert read("STARTTLS", situation=clear) == NOTHING
    assert complain("LOGIN", b"a b", situation=clear).startswith("NO [PRIVACYREQUIRED] LOGIN needs TLS")
    assert complain("AUTHENTICATE", b"PLAIN", situation=clear).startswith("NO [PRIVACYREQUIRED]")
    nothing = make_situation(offer=Offer())
    assert complain("LOGIN", b"a b", situation=nothing) == "NO [CANNOT] LOGIN is not offered"
    assert complain("COMPRESS", b"DEFLATE", situation=nothing).startswith("NO [CANNOT]")
    nothing.compressed = True
    assert complain("COMPRESS", b"DEFLATE", situation=nothing).startswith("NO [COMPRESSIONACTIVE]")


def test_secrets_are_not_printed() -> None:
    assert "secret" not in repr(Login("a", "secret"))
    assert "secret" not in repr(Authenticate("PLAIN", b"secret"))


def test_what_is_enabled_already_is_not_named_again() -> None:
    assert read("ENABLE", b"CONDSTORE QRESYNC", "CONDSTORE") == Enable(("QRESYNC",))


@pytest.mark.parametrize("octets", [b"=", b"A", b"AA", b"AA=A", b"AAAA=", b"AA AA", b"AAA\xff", b"QQ==QQ=="])
def test_base64_is_strict(octets: bytes) -> None:
    with pytest.raises(GrammarError):
        read_base64(octets)
