"""`mailsrv test spf|dkim|dmarc|arc`: one check by itself, with its inputs, the DNS's answers, result and reasons.

The checks are the server's own (authn/), with the bounds of the configuration where there is one. Nothing is decided:
what a server does about a result stands in mailsrv-checks(7).

Diagnostics: raises nothing but what the reading of a message raises; a DNS failure is a result. Each function gives a
Finding.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import DnsFailure, Resolver
from mailsrv.mail.envelope import ReversePath
from mailsrv.mail.header import Header, scan
from mailsrv.authn.arc import validate_chain
from mailsrv.authn.dmarc import check_dmarc
from mailsrv.authn.evaluate import Watched
from mailsrv.authn.findings import ArcFinding, DkimFinding, Policy, Result, SpfFinding
from mailsrv.authn.organization import Tree
from mailsrv.authn.spf import check_spf
from mailsrv.authn.verify import verify_signatures
from mailsrv.config.schema import Config
from mailsrv.serve.house import make_lookups
from mailsrv.cli.rehearsal_lookups import Transcript
from mailsrv.cli.rehearsal_report import facts


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check came to: the result in all, and each finding with its method. `summary` is the result in words."""

    result: Result
    values: tuple[tuple[str, Any], ...]
    summary: str

    def rows(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Each finding for people, by its method."""
        return [(method, facts(value)) for method, value in self.values]

    def to_json(self) -> list[dict[str, Any]]:
        """Each finding as an object."""
        return [{"method": method, **asdict(value)} for method, value in self.values]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: an IP address, a name in EHLO, and the reverse-path."""

    client: str
    helo: str
    reverse_path: ReversePath


@dataclass(frozen=True, slots=True)
class DomainPolicy:
    """What applies to mail of a domain, by the names of DmarcFinding; `policy` is None without a record that says."""

    domain: str
    record_domain: str = ""
    organization: str = ""
    policy: Policy | None = None
    asked: Policy | None = None
    testing: bool = False
    record: str = ""
    reason: str = ""


class Bench:
    """Where one check is made: its way to the DNS with the budget of one message, the time, and our name."""

    def __init__(self, config: Config, resolver: Resolver, clock: Clock, transcript: Transcript) -> None:
        self.receiver = config.hostname
        self.most = config.checks.signatures
        self.now = clock.now()
        self.ask: Watched = transcript.watch(make_lookups(resolver, config, clock)())


def rehearse_spf(bench: Bench, sender: Sender) -> Finding:
    """RFC 7208 for one client and sender."""
    return _conclude("spf", _check_spf(bench, sender))


def rehearse_dkim(bench: Bench, message: bytes) -> Finding:
    """Every signature of a message. One that passes makes it a pass."""
    found = _verify(bench, message) or (DkimFinding(Result.NONE, "", "", reason="no signature"),)
    results = [one.result for one in found]
    overall = next((one for one in (Result.PASS, Result.TEMPERROR) if one in results), results[0])
    return Finding(overall, tuple(("dkim", one) for one in found), overall.value)


def rehearse_arc(bench: Bench, message: bytes) -> Finding:
    """The ARC chain of a message."""
    bench.ask.begin("arc")
    return _conclude("arc", validate_chain(*_split(message), bench.ask, bench.now))


def rehearse_dmarc(bench: Bench, sender: Sender, message: bytes) -> Finding:
    """DMARC of a message, by what SPF and the signatures say."""
    spf, dkim = _check_spf(bench, sender), _verify(bench, message)
    bench.ask.begin("dmarc")
    found = check_dmarc(_split(message)[0], spf, dkim, bench.ask)
    values = (("spf", spf), *(("dkim", one) for one in dkim), ("dmarc", found))
    asked = f", policy {found.policy.value}" if found.result in (Result.FAIL, Result.PERMERROR) else ""
    return Finding(found.result, values, found.result.value + asked)


def look_up_policy(bench: Bench, domain: str) -> Finding:
    """The policy that applies to mail of a domain, without a message; PASS when there is one."""
    bench.ask.begin("dmarc")
    tree = Tree(bench.ask)
    found = DomainPolicy(domain)
    try:
        record, place = tree.discover(domain)
        found = replace(found, record_domain=place, organization=tree.organization(domain))
        if record is not None:
            asked = record.policy(domain != place, tree.exists(domain))
            found = replace(
                found, policy=record.soften(asked), asked=asked, testing=record.testing, record=record.text
            )
    except DnsFailure as failure:
        return Finding(Result.TEMPERROR, (("dmarc", replace(found, reason=str(failure))),), Result.TEMPERROR.value)
    if record is None or not record.usable:
        found = replace(found, policy=None, reason="no policy record" if record is None else "no valid policy")
    result = Result.NONE if found.policy is None else Result.PASS
    return Finding(result, (("dmarc", found),), f"policy {found.policy.value}" if found.policy else found.reason)


def _conclude(method: str, found: SpfFinding | ArcFinding) -> Finding:
    return Finding(found.result, ((method, found),), found.result.value)


def _check_spf(bench: Bench, sender: Sender) -> SpfFinding:
    bench.ask.begin("spf")
    return check_spf(sender.client, sender.helo, sender.reverse_path, bench.ask, bench.now, bench.receiver)


def _verify(bench: Bench, message: bytes) -> tuple[DkimFinding, ...]:
    bench.ask.begin("dkim")
    return verify_signatures(*_split(message), bench.ask, bench.now, bench.most)


def _split(message: bytes) -> tuple[Header, Callable[[], Sequence[bytes]]]:
    """The header and the body of a message."""
    header = scan(message, True)
    assert header is not None  # the whole message was given
    return header, lambda: [message[header.length :]]
