"""What the DNS says of a key's record: seen by one resolver, and by several that differ."""

import pytest

from mailsrv.authn.keys import Algorithm, PublicKey
from mailsrv.authn.published import look
from mailsrv.authn.rotation import Key, Sight, State
from mailsrv.system.dns_values import Answer, Budget, DnsFailure, Status

RECORD = PublicKey(Algorithm.ED25519, b"k" * 32).record
OTHER = PublicKey(Algorithm.ED25519, b"o" * 32).record.encode()
KEY = Key("s1", Algorithm.ED25519, State.NEXT, 0, RECORD)


class OneAnswer:
    """A resolver that says the same of one name, and fails the test for any other."""

    def __init__(self, *records: bytes, fails: bool = False) -> None:
        self._records = records
        self._fails = fails

    def query(self, name: str, kind: str, budget: Budget | None = None) -> Answer:
        assert (name, kind, budget) == ("s1._domainkey.example.com", "TXT", None)
        if self._fails:
            raise DnsFailure(f"{name} {kind}: silence")
        return Answer(Status.FOUND if self._records else Status.NO_NAME, self._records, False, 0.0)


SHOWN = OneAnswer(RECORD.encode())
ABSENT = OneAnswer()
WRONG = OneAnswer(OTHER)
SILENT = OneAnswer(fails=True)


@pytest.mark.parametrize(
    ("resolvers", "sight"),
    [
        ([SHOWN], Sight.SHOWN),
        ([OneAnswer(RECORD.replace("; ", ";").encode() + b"; n=note")], Sight.SHOWN),
        ([ABSENT], Sight.ABSENT),
        ([WRONG], Sight.OTHER),
        ([OneAnswer(b"v=spf1 -all")], Sight.OTHER),
        ([OneAnswer(b"v=DKIM1; k=ed25519; p=")], Sight.OTHER),
        ([OneAnswer(RECORD.encode(), OTHER)], Sight.OTHER),
        ([OneAnswer(RECORD.encode(), RECORD.encode())], Sight.OTHER),
        ([SILENT], Sight.UNKNOWN),
        ([], Sight.UNKNOWN),
        ([SHOWN, SHOWN], Sight.SHOWN),
        ([SHOWN, ABSENT], Sight.ABSENT),
        ([SILENT, SHOWN], Sight.UNKNOWN),
        ([SILENT, ABSENT], Sight.ABSENT),
        ([SHOWN, ABSENT, WRONG], Sight.OTHER),
    ],
)
def test_look(resolvers: list[OneAnswer], sight: Sight) -> None:
    assert look(resolvers, "example.com", KEY, lambda _text: None) is sight


def test_failures_are_told() -> None:
    told: list[str] = []
    look([SILENT, SHOWN, SILENT], "example.com", KEY, told.append)
    assert told == ["s1._domainkey.example.com TXT: silence"] * 2
