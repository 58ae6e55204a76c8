"""All checks of one message, in the order in which a later one needs the earlier ones. Nothing is decided here.

They share one budget of lookups and seconds. What is spent first is what counts most: SPF, the signatures and DMARC;
what is left is for ARC and iprev, which never refuse a message by themselves. Whoever makes the first ones expensive
gets a temporary error from them, not a free pass.

Diagnostics: raises nothing; a DNS failure is a finding.
"""

from abc import ABC, abstractmethod

from mailsrv.system.dns_values import Answer
from mailsrv.authn.arc import validate_chain
from mailsrv.authn.dmarc import check_dmarc
from mailsrv.authn.findings import Ask, Findings, Subject
from mailsrv.authn.iprev import check_iprev
from mailsrv.authn.spf import check_spf
from mailsrv.authn.verify import verify_signatures


class Watched(ABC):
    """An Ask that wants to know which check asks: `mailsrv test` shows each question under its check."""

    @abstractmethod
    def __call__(self, name: str, kind: str, /) -> Answer:
        """See Ask."""

    @abstractmethod
    def begin(self, check: str) -> None:
        """The questions from now on are those of this check."""


def evaluate(subject: Subject, ask: Ask, now: float, receiver: str, most: int) -> Findings:
    """Check a message: `now` in seconds since the epoch, `receiver` our host name, `most` signatures at most."""
    header, body = subject.header, subject.body
    begin = ask.begin if isinstance(ask, Watched) else _go_on
    begin("spf")
    spf = check_spf(subject.client, subject.helo, subject.reverse_path, ask, now, receiver)
    begin("dkim")
    dkim = verify_signatures(header, body, ask, now, most)
    begin("dmarc")
    dmarc = check_dmarc(header, spf, dkim, ask)
    begin("arc")
    arc = validate_chain(header, body, ask, now)
    begin("iprev")
    iprev = check_iprev(subject.client, ask)
    return Findings(subject.client, subject.helo, spf, dkim, dmarc, arc, iprev)


def _go_on(_check: str) -> None:
    """Nobody wants to know."""
