"""The Received-SPF field (RFC 7208 section 9.1): the result, and enough with it to check it again; and whether one that
a message brings along says that it is ours.

Diagnostics: raises nothing; whatever the values hold, they stand in the field as values.
"""

import re
from dataclasses import dataclass

from mailsrv.mail.address import domain_key
from mailsrv.mail.structured import fold, write_comment, write_dot_atom

NAME = "Received-SPF"

_BESIDE_WORDS = re.compile(rb'[\s"]+')

# Result -> what it means, with the client's address and the domain put in.
_MEANINGS = {
    "pass": "{domain} lets {client} send for it",
    "fail": "{domain} does not let {client} send for it",
    "softfail": "{domain} probably does not let {client} send for it",
    "neutral": "{domain} does not say whether {client} may send for it",
    "none": "{domain} says nothing about who may send for it",
    "temperror": "what {domain} says could not be looked up",
    "permerror": "what {domain} says cannot be understood",
}


@dataclass(frozen=True, slots=True)
class ReceivedSpf:
    """What was checked and found, as plain words. `identity` is "mailfrom" or "helo", `sender` the identity in full,
    `receiver` our host name, `mechanism` what matched, `problem` what went wrong."""

    result: str
    client: str
    helo: str
    identity: str
    domain: str
    sender: str
    receiver: str
    mechanism: str = ""
    problem: str = ""


def received_spf_field(found: ReceivedSpf) -> bytes:
    """The whole field with its CRLF, folded, in ASCII."""
    meaning = _MEANINGS.get(found.result, "").format(domain=found.domain or "the client", client=found.client)
    pairs = [
        ("client-ip", found.client),
        ("envelope-from", found.sender if found.identity == "mailfrom" else ""),
        ("helo", found.helo),
        ("identity", found.identity),
        ("mechanism", found.mechanism),
        ("problem", found.problem),
        ("receiver", found.receiver),
    ]
    words = [f"{key}={write_dot_atom(value)};" for key, value in pairs if value]
    return fold(NAME, [[found.result, *write_comment(f"{found.receiver}: {meaning}")], words])


def claims_receiver(value: bytes, hostname: str) -> bool:
    """Whether a raw value names this host as the receiver who checked, in its comment or its pairs. When in doubt it
    does: nobody else has a reason to write anything of the kind."""
    name = domain_key(hostname).encode()
    text = _BESIDE_WORDS.sub(b"", value).lower()
    return b"receiver=" + name in text or b"(" + name + b":" in text
