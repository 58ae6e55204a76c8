"""What became of a recipient in one attempt: the words of RFC 3464, and who said so.

Attempts make outcomes, the journal keeps them, reports and the log tell them.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """The action words of RFC 3464 section 2.3.3. All but DELAYED are final."""

    DELIVERED = "delivered"  # lies in a mailbox
    RELAYED = "relayed"  # another host has taken it and will report by itself, or cannot
    EXPANDED = "expanded"  # became other recipients, which are reported on by themselves
    DELAYED = "delayed"  # to be tried again
    FAILED = "failed"  # never

    @property
    def is_final(self) -> bool:
        """Whether the recipient must never be tried again."""
        return self is not Status.DELAYED


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one recipient of an envelope.

    `recipient` is its index in the envelope; `dsn` an enhanced status code (RFC 3463); `reply` what the host said, or
    we instead of it, cleaned and bounded; `host` who said it, as `mx.example [192.0.2.1]`, "" when it was us; `at`
    seconds since the epoch.
    """

    recipient: int
    status: Status
    dsn: str
    reply: str
    host: str = ""
    at: float = 0.0
