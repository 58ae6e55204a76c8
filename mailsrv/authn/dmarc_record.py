"""DMARC Policy Records: the TXT record at `_dmarc.` and a domain (RFC 9989 sections 4.7 and 4.8), read into a value.

The reader for RFC 6376's tag lists (text/tags) does not fit: a fault there makes the whole list void, while here it
costs only the tag it stands in. The record must begin with v=DMARC1, without white space before it and with its value
in exactly this case; tag names and the words of the other values compare without case, as ABNF has them. Unknown tags
are passed over, the retired pct=, ri= and rf= among them; of a tag that stands twice the first counts.

A record without p= reads as p=none (section 4.7). One whose p=, sp= or np= is not valid reads as p=none for everything
if rua= names at least one URI, and else it is there but says nothing: `usable` is False (section 4.10.1).

Only the first MOST_OCTETS octets are read, so that reading a hostile record costs what a long honest one costs; a tag
that is cut there is not read at all.

Diagnostics: `parse_record` raises GrammarError for what is no DMARC Policy Record, and for nothing else.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.authn.findings import Policy

MOST_OCTETS = 4096
CACHED_RECORDS = 512

_VERSION = re.compile(rb"[Vv][ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
_TAG = re.compile("[ \t]*+([A-Za-z]++)[ \t]*+=(.*)", re.DOTALL)
_UNPRINTABLE = re.compile(rb"[^ -~]")
# RFC 3986: a scheme, and characters that a URI may have; a comma and an exclamation mark stand encoded (section 4.8).
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:(?:[A-Za-z0-9._~:/?#\[\]@$&'()+*=-]++|%[0-9A-Fa-f]{2})+")
_SIZE = re.compile(r"![0-9]++[kmgtKMGT]?\Z")

# What each word of p=, sp= and np= means, and the words of the tags that have few: the first is the default.
_POLICIES = {policy.value: policy for policy in Policy}
_CHOICES = {"adkim": ("r", "s"), "aspf": ("r", "s"), "t": ("n", "y"), "psd": ("u", "y", "n")}

_SOFTER = {Policy.REJECT: Policy.QUARANTINE, Policy.QUARANTINE: Policy.NONE, Policy.NONE: Policy.NONE}


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """What a record says, by the names of its tags. `sp` and `np` are None where the record leaves them out.

    `t` is y or n; `psd` y, n or u; `adkim` and `aspf` r or s; `fo` words of 0 1 d s. `rua` and `ruf` are URIs of any
    scheme without the obsolete size behind them. `text` is the record in printable ASCII, as far as it was read; it
    reads as the same record again. `usable`: False when nothing is to be done about mail because of it."""

    p: Policy
    sp: Policy | None
    np: Policy | None
    t: str
    psd: str
    adkim: str
    aspf: str
    rua: tuple[str, ...]
    ruf: tuple[str, ...]
    fo: tuple[str, ...]
    usable: bool
    text: str

    @property
    def testing(self) -> bool:
        """Whether policies are to be softened (t=y)."""
        return self.t == "y"

    def policy(self, is_subdomain: bool, exists: bool) -> Policy:
        """What is asked for mail of the domain of this record, or of a subdomain, which exists or not."""
        if not is_subdomain:
            return self.p
        if not exists and self.np is not None:
            return self.np
        return self.p if self.sp is None else self.sp

    def soften(self, policy: Policy) -> Policy:
        """What is to be done when `policy` is asked: with t=y one step less (section 4.7)."""
        return _SOFTER[policy] if self.testing else policy


def find_record(records: Iterable[bytes]) -> DmarcRecord | None:
    """The policy record among the TXT records of a name; None without one, and with several (section 4.10 step 2)."""
    found = [octets for octets in records if _VERSION.match(octets)]
    return parse_record(found[0]) if len(found) == 1 else None


def parse_record(octets: bytes) -> DmarcRecord:
    """Read a policy record, its strings joined. Raises GrammarError when it is none."""
    if not _VERSION.match(octets):
        raise GrammarError("does not begin with v=DMARC1")
    if len(octets) > MOST_OCTETS:
        octets = octets[:MOST_OCTETS].rpartition(b";")[0]
        if not _VERSION.match(octets):  # nothing but white space behind it, as far as it is read
            octets = b"v=DMARC1"
    return _parse(octets)


def parse_uris(value: str) -> tuple[str, ...]:
    """The URIs of rua= or ruf=, in their order, less the sizes of RFC 7489; what is no URI is left out."""
    items = (_SIZE.sub("", item.strip(" \t")) for item in value.split(","))
    return tuple(item for item in items if _URI.fullmatch(item))


@lru_cache(maxsize=CACHED_RECORDS)
def _parse(octets: bytes) -> DmarcRecord:
    # A backslash stands in no valid value, so that a value with an unprintable octet stays without one.
    text = _UNPRINTABLE.sub(rb"\\", octets.replace(b"\t", b" ")).decode("ascii")
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if match := _TAG.match(part):
            tags.setdefault(match[1].lower(), match[2].strip(" "))
    policies = {name: _POLICIES.get(tags[name].lower()) for name in ("p", "sp", "np") if name in tags}
    rua = parse_uris(tags.get("rua", ""))
    usable = True
    if None in policies.values():
        policies = {}
        usable = bool(rua)
    chosen = {name: _choose(tags.get(name, ""), words) for name, words in _CHOICES.items()}
    return DmarcRecord(
        p=policies.get("p") or Policy.NONE,
        sp=policies.get("sp"),
        np=policies.get("np"),
        rua=rua,
        ruf=parse_uris(tags.get("ruf", "")),
        fo=_failure_options(tags.get("fo", "")),
        usable=usable,
        text=text,
        **chosen,
    )


def _choose(value: str, words: tuple[str, ...]) -> str:
    return value.lower() if value.lower() in words else words[0]


def _failure_options(value: str) -> tuple[str, ...]:
    """fo=, or its default when it is not a list of different words, or has both 0 and 1."""
    words = tuple(word.strip(" ") for word in value.lower().split(":"))
    valid = {"0", "1", "d", "s"}.issuperset(words) and len(set(words)) == len(words) and not {"0", "1"} <= set(words)
    return words if valid else ("0",)
