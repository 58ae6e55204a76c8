"""What every SASL mechanism is: an object that takes the client's messages and gives steps (RFC 4422 sections 3 and 5).

Mechanisms are pure and know no protocol: base64, line limits and cancelling are the business of SMTP and IMAP. A
mechanism never says whether an account exists.

Diagnostics: raises nothing; octets that break a mechanism's grammar give Failed.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send these octets and give what the client answers to `step`."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client claims; the caller checks it. `authzid` is "" or equal to `authcid`."""

    authzid: str
    authcid: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The client has proved to be `account` (a login name as the client wrote it, prepared). `final` is what is still
    to be sent, if anything."""

    account: str
    final: bytes = b""


@dataclass(frozen=True, slots=True)
class Failed:
    """The exchange failed. `reason` is for the log, never for the client. `authcid` is whom the client claimed to be,
    as far as known."""

    reason: str
    authcid: str = ""


Step = Challenge | Credentials | Done | Failed


class Mechanism(Protocol):
    """One exchange."""

    def start(self, initial: bytes | None) -> Step:
        """Begin, with the initial response or None when there was none (RFC 4422 section 5.1)."""
        ...

    def step(self, response: bytes) -> Step:
        """Go on with the answer to the last Challenge."""
        ...
