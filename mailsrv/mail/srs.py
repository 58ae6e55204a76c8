"""Reverse-paths of forwarded mail: the sender's address packed into one of ours, so that the next host's SPF check
(RFC 7208) sees a domain whose mail we may send, and unpacked again when a report comes back.

The forms are those of the Sender Rewriting Scheme (Meng Weng Wong, 2003; no RFC):

    SRS0=hash=day=domain=local-part@ours          by the first forwarder
    SRS1=hash=forwarder==hash=day=...@ours        by every later one, naming the first, to which the report goes

The hash is a keyed one, so that nobody else can make addresses through which we would relay. All of it survives
folding of case on the way; of the local part the case is then lost. What does not fit into the 64 octets of a local
part is not rewritten: reports still go to the right place, and SPF may fail. Whether mail is forwarded at all is not
decided here.

Diagnostics: `Srs.reverse` raises GrammarError for an address that was not made here, or too long ago.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Protocol

from mailsrv.errors import GrammarError
from mailsrv.mail.address import MAX_LOCAL_PART, MAX_PATH, Address, domain_key, fold, parse_address, quote_local_part

VALID_DAYS = 21  # longer than any queue tries, and its report tries after that

_DAY = 86400
_DAYS = 1024  # two digits of base32
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # RFC 4648 section 6; case does not count
_HASH_LENGTH = 6  # 30 bits: every guess costs a refused RCPT

_SRS = re.compile("SRS[01][=+-]", re.IGNORECASE)
# Later forwarders keep the separator that the first one has chosen.
_FOREIGN_0 = re.compile("SRS0(?P<rest>[=+-].+)", re.IGNORECASE | re.DOTALL)
_FOREIGN_1 = re.compile("SRS1[=+-][^=]+=(?P<first>[^=]+)=(?P<rest>[=+-].+)", re.IGNORECASE | re.DOTALL)
_OWN_0 = re.compile(
    "SRS0=(?P<hash>[A-Z2-7]+)=(?P<day>[A-Z2-7]{2})=(?P<domain>[^=]+)=(?P<local>.+)", re.IGNORECASE | re.DOTALL
)
_OWN_1 = re.compile("SRS1=(?P<hash>[A-Z2-7]+)=(?P<domain>[^=]+)=(?P<rest>[=+-].+)", re.IGNORECASE | re.DOTALL)


class Clock(Protocol):
    """What tells the day."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


def is_srs(local_part: str) -> bool:
    """Whether a local part has the form of a rewritten one, whoever made it."""
    return _SRS.match(local_part) is not None


class Srs:
    """Rewrites with one secret. Threads may share it. `is_ours` tells whether a domain needs no rewriting."""

    def __init__(self, secret: str, clock: Clock, is_ours: Callable[[str], bool] = lambda domain: False) -> None:
        self._key = secret.encode()
        self._clock = clock
        self._is_ours = is_ours

    def forward(self, reverse_path: Address, domain: str) -> Address:
        """The reverse-path as one of `domain`, which is ours; as it stands where that is not needed or too long."""
        if reverse_path.is_literal or self._is_ours(reverse_path.domain):
            return reverse_path
        home = domain_key(reverse_path.domain)
        if home == domain_key(domain):
            return reverse_path
        if (later := _FOREIGN_1.fullmatch(reverse_path.local_part)) is not None:
            local_part = self._pack_again(later["first"], later["rest"])
        elif (first := _FOREIGN_0.fullmatch(reverse_path.local_part)) is not None:
            local_part = self._pack_again(home, first["rest"])
        else:
            day = self._today()
            text = f"{_DIGITS[day >> 5]}{_DIGITS[day & 31]}={home}={reverse_path.local_part}"
            local_part = f"SRS0={self._hash(text)}={text}"
        address = Address(local_part, domain)
        if len(quote_local_part(local_part).encode()) > MAX_LOCAL_PART or len(str(address).encode()) > MAX_PATH:
            return reverse_path
        return address

    def reverse(self, address: Address) -> Address:
        """The address that `forward` packed into this one. Raises GrammarError."""
        local_part = address.local_part
        if (own := _OWN_0.fullmatch(local_part)) is not None:
            self._check(own["hash"], f"{own['day']}={own['domain']}={own['local']}")
            day = _DIGITS.index(own["day"][0].upper()) << 5 | _DIGITS.index(own["day"][1].upper())
            # One more, for a clock that was put back.
            if (self._today() + 1 - day) % _DAYS > VALID_DAYS + 1:
                raise GrammarError("the rewritten address is too old")
            return _parse(own["local"], own["domain"])
        if (own := _OWN_1.fullmatch(local_part)) is not None:
            self._check(own["hash"], f"{own['domain']}={own['rest']}")
            return _parse(f"SRS0{own['rest']}", own["domain"])
        raise GrammarError("the address is not a rewritten one")

    def _pack_again(self, first: str, rest: str) -> str:
        text = f"{first}={rest}"
        return f"SRS1={self._hash(text)}={text}"

    def _today(self) -> int:
        return int(self._clock.now() // _DAY) % _DAYS

    def _hash(self, text: str) -> str:
        digest = hmac.digest(self._key, fold(text).encode(), hashlib.sha256)
        return base64.b32encode(digest)[:_HASH_LENGTH].decode("ascii")

    def _check(self, given: str, text: str) -> None:
        if not hmac.compare_digest(given.upper().encode(), self._hash(text).encode()):
            raise GrammarError("the rewritten address was not made here")


def _parse(local_part: str, domain: str) -> Address:
    return parse_address(f"{quote_local_part(local_part)}@{domain}")
