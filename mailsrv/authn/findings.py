"""What the checks of a sender find, as values: one for each of SPF, DKIM, DMARC, ARC and iprev, and all together.

A check only finds; what follows is decided in one place (authn/verdict). The words of `Result` are those of RFC 8601
section 2.7. Domains are lower-case A-labels without a final dot, whatever the message had (RFC 8616 section 3).

Diagnostics: raises nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from mailsrv.system.dns_values import Answer
from mailsrv.mail.envelope import ReversePath
from mailsrv.mail.header import Header

# Asks the DNS within the budget of one message: (name, type) -> Answer. Raises DnsFailure, BudgetSpent among them.
Ask = Callable[[str, str], Answer]


class Result(Enum):
    """What a method found."""

    NONE = "none"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    POLICY = "policy"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Policy(Enum):
    """What a domain's owner wants for mail that fails DMARC (RFC 9989 section 4.7, p=)."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: `client` an IP address as text, `helo` as given, the reverse-path, and the message. `body` gives
    the octets behind the header's empty line in blocks, anew at each call."""

    client: str
    helo: str
    reverse_path: ReversePath
    header: Header
    body: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class SpfFinding:
    """RFC 7208. `identity` is "mailfrom" or "helo", `domain` whose record was evaluated, `sender` the identity in full.

    `mechanism` matched; `explanation` is the domain's own (exp=) in printable ASCII, bounded, "" without one;
    `reason` says what went wrong, or more about the result."""

    result: Result
    identity: str
    domain: str
    sender: str
    mechanism: str = ""
    explanation: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DkimFinding:
    """One signature (RFC 6376): d=, s=, i= (as given, without space), a=, the key's size in bits, the first octets of
    b= (to tell signatures apart, RFC 6008), whether the key says t=y, and why it did not pass."""

    result: Result
    domain: str
    selector: str
    identity: str = ""
    algorithm: str = ""
    bits: int = 0
    signature: str = ""
    testing: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArcFinding:
    """RFC 8617. `sealers`: d= of each ARC-Seal, newest first; `sets` counts them. `authres`: the newest set's
    ARC-Authentication-Results behind its i=, on one line."""

    result: Result
    sealers: tuple[str, ...] = ()
    sets: int = 0
    authres: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class IprevFinding:
    """RFC 8601 section 2.7.3: `name` is the verified host name of the client, "" without one."""

    result: Result
    name: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DmarcFinding:
    """RFC 9989. `domain` is the Author Domain ("" when there is not exactly one), `record_domain` where the policy
    record stands, `organization` the Organizational Domain.

    `policy` is the one that applies to this message by p=, sp=, np= and t= (meaning: to be done if it fails); `asked`
    is what the record says before t= softens it. `aligned`: (method, domain) of each identifier that passed and is
    aligned, method "spf" or "dkim". `record`: the record's text, "" without one. `could_reject`: with a temperror,
    whether the policy could have been reject (or is not known)."""

    result: Result
    domain: str = ""
    record_domain: str = ""
    organization: str = ""
    policy: Policy = Policy.NONE
    asked: Policy = Policy.NONE
    aligned: tuple[tuple[str, str], ...] = ()
    testing: bool = False
    record: str = ""
    could_reject: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was found about one message. `client` is the IP address it came from."""

    client: str
    helo: str
    spf: SpfFinding
    dkim: tuple[DkimFinding, ...]
    dmarc: DmarcFinding
    arc: ArcFinding
    iprev: IprevFinding
