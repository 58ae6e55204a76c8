"""Status responses as octets."""

import pytest

from mailsrv.imap.answers import Refusal, Status, Word, bad, bye, no, ok


@pytest.mark.parametrize(
    ("status", "octets"),
    [
        (ok("done"), b"a OK done\r\n"),
        (no("full", "OVERQUOTA"), b"a NO [OVERQUOTA] full\r\n"),
        (bad("what"), b"a BAD what\r\n"),
        (bye("bye"), b"a BYE bye\r\n"),
        (ok("", "CLOSED"), b"a OK [CLOSED] -\r\n"),
        (ok(""), b"a OK -\r\n"),
        (ok("[x] y"), b"a OK x] y\r\n"),
        (ok("a\r\nb é"), b"a OK a??b ?\r\n"),
        (Status(Word.PREAUTH, "hello"), b"a PREAUTH hello\r\n"),
    ],
)
def test_encoding(status: Status, octets: bytes) -> None:
    assert status.encode(b"a") == octets


def test_a_refusal_carries_its_status() -> None:
    assert Refusal(no("x", "CANNOT")).status == no("x", "CANNOT")
    assert str(Refusal(no("x"))) == "x"
