"""The DNS lookups of a rehearsal: every question that a check asks, with what came of it, in the order asked.

Nothing is asked here that the check would not have asked, and nothing is answered for it: the recorder stands between
a check and its way to the DNS, and only keeps what it sees.

Diagnostics: a recorder raises what its Ask raises, DnsFailure, once that is noted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mailsrv.system.dns_values import Answer, DnsFailure, MxRecord, Status
from mailsrv.authn.evaluate import Watched
from mailsrv.authn.findings import Ask

FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question and its answer. `check` asked; `status` is the DNS's word, or FAILED with the reason in `failure`.
    `records` as in zone files; `alias` is the name that the asked one stands for, "" for itself."""

    check: str
    name: str
    kind: str
    status: str
    records: tuple[str, ...] = ()
    alias: str = ""
    failure: str = ""

    def lines(self) -> tuple[str, ...]:
        """The answer for people, a line for each record."""
        if self.status == FAILED:
            return (f"{FAILED}: {self.failure.removeprefix(f'{self.name} {self.kind}: ')}",)
        first = (f"alias of {self.alias}",) if self.alias else ()
        return first + (self.records or (self.status,))

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return {
            "check": self.check,
            "name": self.name,
            "type": self.kind,
            "status": self.status,
            "records": list(self.records),
            "alias": self.alias,
            "failure": self.failure,
        }


class Transcript:
    """The lookups so far, and the check whose questions are coming."""

    def __init__(self) -> None:
        self.lookups: list[Lookup] = []
        self.check = ""

    def watch(self, ask: Ask) -> Watched:
        """A way to the DNS whose lookups are kept here."""
        return _Recorder(ask, self)

    def by_check(self) -> dict[str, list[Lookup]]:
        """The lookups of each check, checks in the order of their first one."""
        found: dict[str, list[Lookup]] = {}
        for lookup in self.lookups:
            found.setdefault(lookup.check, []).append(lookup)
        return found


class _Recorder(Watched):
    """One Ask, with the budget that it has."""

    def __init__(self, ask: Ask, transcript: Transcript) -> None:
        self._ask = ask
        self._transcript = transcript

    def __call__(self, name: str, kind: str, /) -> Answer:
        transcript = self._transcript
        try:
            answer = self._ask(name, kind)
        except DnsFailure as failure:
            transcript.lookups.append(Lookup(transcript.check, name, kind, FAILED, failure=str(failure)))
            raise
        records = tuple(format_records(answer.records)) if answer.status is Status.FOUND else ()
        alias = answer.canonical if answer.canonical not in ("", name.lower().rstrip(".")) else ""
        transcript.lookups.append(Lookup(transcript.check, name, kind, answer.status.value, records, alias))
        return answer

    def begin(self, check: str) -> None:
        self._transcript.check = check


def format_records(records: Iterable[Any]) -> list[str]:
    """Records as zone files have them (RFC 1035 section 5.1): TXT in quotation marks, octets that do not print as
    their number."""
    return [_format(record) for record in records]


def _format(record: Any) -> str:
    if isinstance(record, bytes):
        return '"' + "".join(_OCTETS[octet] for octet in record) + '"'
    return f"{record.preference} {record.host}" if isinstance(record, MxRecord) else str(record)


_OCTETS = [chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}" for octet in range(256)]
_OCTETS[ord('"')], _OCTETS[ord("\\")] = '\\"', "\\\\"
