"""Recipients in a header as local programs write it."""

import pytest

from mailsrv.mail.header import scan
from mailsrv.receive.recipient_fields import find_recipients, split_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root", ["root"]),
        ("a@b, c@d", ["a@b", "c@d"]),
        ("Bob <b@c>", ["b@c"]),
        ('"Doe, John" <j@d>, (a, b) x@y (z)', ["j@d", "x@y"]),
        ("list: a@b, c@d; e@f", ["a@b", "c@d", "e@f"]),
        ("undisclosed-recipients:;", []),
        ('"a b"@c', ['"a b"@c']),
        ("<@r.example:a@b>", ["a@b"]),
        ("a@[IPv6:::1]", ["a@[IPv6:::1]"]),
        ("<> , ,", []),
        ("a@b <", ["a@b <"]),
    ],
)
def test_a_list(text: str, expected: list[str]) -> None:
    assert split_addresses(text) == expected


def test_resent_fields_come_instead_of_the_others() -> None:
    header = scan(b"To: a@x\r\nCC: b@x,\r\n c@x\r\nBcc: d@x\r\nReply-To: no@x\r\n\r\n", True)
    assert header is not None
    assert find_recipients(header) == ["a@x", "b@x", "c@x", "d@x"]
    header = scan(b"To: a@x\r\nResent-Bcc: e@x\r\n\r\n", True)
    assert header is not None
    assert find_recipients(header) == ["e@x"]
