"""A claimed message on its way: its jobs (one per next hop), what it needs of a host, and its signature.

A Delivery is shared by the threads that carry its jobs; the last job to end hands it on to be settled. Nothing is
written here.

Diagnostics: what the signer raises passes through `prepare`: the message then waits.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from mailsrv.deliver.due import onward_request
from mailsrv.deliver.route import NextHop, reverse_path_domain
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient, ReversePath
from mailsrv.smtp.client_events import Transaction
from mailsrv.spool.claim import Claim

Forward = Callable[[Address, str], Address]
Sign = Callable[[bytes, Iterable[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Job:
    """Recipients (indices) of one message for one next hop, all with the same reverse-path."""

    delivery: "Delivery"
    hop: NextHop
    indexes: tuple[int, ...]
    reverse_path: ReversePath

    def transaction(self, chosen: tuple[int, ...]) -> Transaction:
        """What is sent to a host for some of the recipients."""
        delivery = self.delivery
        envelope = delivery.envelope
        recipients = tuple(
            replace(envelope.recipients[index], dsn=onward_request(envelope, index)) for index in chosen
        )
        delivery.prepare()
        return Transaction(
            self.reverse_path, recipients, envelope.parameters, delivery.size, delivery.eight_bit, delivery.utf8_header
        )


class Delivery:
    """One message while its jobs run. `began` (seconds since the epoch) is when its attempt began; `passed_on` are the
    recipients that a host has taken which reports on them itself; `forced` tells that an operator wants it now;
    `cut_short` that a job was not begun, because the process ends; `look_again` is when recipients that could not be
    tried now are to be looked at (0.0: none)."""

    def __init__(self, claim: Claim, sign: Sign | None, began: float, forced: bool = False) -> None:
        self.claim = claim
        self.began = began
        self.forced = forced
        self.passed_on: set[int] = set()
        self.cut_short = False
        self.look_again = 0.0
        self.transmit_seconds = 0.0
        self.eight_bit = False
        self.utf8_header = False
        self.size = claim.size
        self._sign = sign
        self._signature: bytes | None = None
        self._left = 0
        self._lock = threading.Lock()

    @property
    def envelope(self) -> Envelope:
        """The message's envelope."""
        return self.claim.envelope

    def prepare(self) -> None:
        """Sign the message and see what it needs of a host; once, by the first thread that sends it."""
        with self._lock:
            if self._signature is not None:
                return
            header = self.claim.header()
            self.utf8_header = not header.isascii()
            self.eight_bit = any(not block.isascii() for block in self.claim.blocks())
            signature = b""
            if self._sign is not None and self._is_ours():
                signature = self._sign(header, self.claim.blocks(len(header)))
            self.size = self.claim.size + len(signature)
            self._signature = signature

    def blocks(self) -> Iterator[bytes]:
        """The octets that are sent: the signature, then the message."""
        if self._signature:
            yield self._signature
        yield from self.claim.blocks()

    def expect(self, jobs: int) -> None:
        """So many jobs will end."""
        self._left = jobs

    @property
    def has_more(self) -> bool:
        """Whether more than one job has not ended."""
        with self._lock:
            return self._left > 1

    def end_job(self) -> bool:
        """A job has ended and its outcomes are learned; True when it was the last one."""
        with self._lock:
            self._left -= 1
            return self._left == 0

    def _is_ours(self) -> bool:
        """Whether the message comes from somebody here, whom our signature may vouch for. Reports, which nobody sends,
        are signed already.
        """
        envelope = self.envelope
        return bool(envelope.account) or (envelope.client == "local" and envelope.reverse_path is not None)


def make_jobs(delivery: Delivery, groups: dict[NextHop, list[int]], forward: Forward | None) -> list[Job]:
    """One job per next hop and reverse-path. `forward` rewrites the reverse-path for recipients that an alias of ours
    has made (SRS), so that the next host's SPF check sees a domain that is ours."""
    envelope = delivery.envelope
    jobs = []
    for hop, indexes in groups.items():
        parts: dict[str, list[int]] = {}
        for index in indexes:
            parts.setdefault(_rewritten_in(envelope, envelope.recipients[index], forward), []).append(index)
        for domain, part in parts.items():
            path = envelope.reverse_path
            if domain and forward is not None and path is not None:
                path = forward(path, domain)
            jobs.append(Job(delivery, hop, tuple(part), path))
    return jobs


def _rewritten_in(envelope: Envelope, recipient: Recipient, forward: Forward | None) -> str:
    """The domain of ours in which the reverse-path is rewritten for a recipient; "" when it stays as it is: the null
    one, and an account's own, which is ours anyway."""
    if forward is None or envelope.reverse_path is None or envelope.account:
        return ""
    return reverse_path_domain(recipient)
