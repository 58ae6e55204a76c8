"""The one place that decides what becomes of a message for who sends it: from what all checks found, once.

Nothing is refused because one check failed while another could still speak for the sender: an aligned DKIM signature
saves forwarded mail whose SPF fails, and a forwarder that is trusted may say that a message was good before it changed
it (ARC, RFC 8617). The rules in their order:

    DMARC fails, policy reject              reject 550 5.7.1, unless a trusted sealer vouches; defer 451 4.4.3 while
                                            it cannot be told whether one does
    DMARC fails, policy quarantine          Junk, unless a trusted sealer vouches
    DMARC cannot be told, could be reject   defer 451 4.4.3, unless a trusted sealer vouches
    SPF fails                               reject 550 5.7.23 where DMARC says nothing and nothing else vouches,
                                            or always (spf.fail = "reject")
    SPF cannot be told                      defer 451 4.4.3 where its fail would have been refused

Each finding becomes a rule with its input and result, whatever it led to; these go into the message, the decision
record and `mailsrv test`. Nothing is looked up here.

Nobody vouches for a message whose authors are of several domains: a sealer that found DMARC's pass has seen one.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from mailsrv.mail.reply import Reply
from mailsrv.authn.findings import ArcFinding, DkimFinding, DmarcFinding, Findings, Policy, Result, SpfFinding


class Action(Enum):
    """What becomes of a message."""

    ACCEPT = "accept"
    DEFER = "defer"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration has a say in: `strict_spf` refuses every SPF fail; `sealers`: domains (A-labels, lower
    case) whose ARC seals count."""

    strict_spf: bool = False
    sealers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that was looked at: its name, what it looked at, and what came out, in words for people."""

    name: str
    input: str
    result: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision. `reply` refuses, unless it is accepted; `junk` sends it to the Junk mailboxes. `disposition` is
    what DMARC's policy came to here (RFC 9990), and `override` why that is not what was asked for."""

    action: Action
    reply: Reply | None
    junk: bool
    rules: tuple[Rule, ...]
    disposition: Policy = Policy.NONE
    override: str = ""


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What one method would have done."""

    action: Action = Action.ACCEPT
    reply: Reply | None = None
    junk: bool = False


_NOTHING = _Opinion()
_METHOD = re.compile(r";\s*(arc|dmarc)\s*(?:/\s*1\s*)?=\s*pass(?![\w-])", re.IGNORECASE)
# What must not be taken for a result: comments, and text in quotation marks.
_ASIDE = re.compile(r'\((?:[^()\\]++|\\.)*\)|"(?:[^"\\]++|\\.)*"')
# Where several methods have an opinion, this one counts.
_WEIGHT = {Action.REJECT: 2, Action.DEFER: 1, Action.ACCEPT: 0}
_TEXT = 200  # characters of somebody else's words in a reply


def decide(findings: Findings, settings: Settings) -> Verdict:
    """Decide on a message."""
    voucher = find_voucher(findings.arc, settings.sealers)
    pending = _find_pending(findings.arc, settings.sealers)
    opinions = (_judge_dmarc(findings.dmarc, voucher, pending), _judge_spf(findings, settings, voucher, pending))
    heaviest = max(opinions, key=lambda opinion: _WEIGHT[opinion.action])
    junk = heaviest.action is Action.ACCEPT and any(opinion.junk for opinion in opinions)
    disposition, override = _dispose(findings.dmarc, voucher)
    rules = [*_describe(findings)]
    if voucher:
        rules.append(Rule("sealer", voucher, "trusted"))
    result = "junk" if junk else heaviest.action.value
    rules.append(Rule("sender", findings.dmarc.domain or findings.spf.domain, result))
    return Verdict(heaviest.action, heaviest.reply, junk, tuple(rules), disposition, override)


def find_voucher(arc: ArcFinding, trusted: frozenset[str]) -> str:
    """The trusted domain that has sealed the message as one that passed DMARC, or that another trusted one had sealed
    so; "" when there is none. Only the newest seal speaks for what we got."""
    if arc.result is not Result.PASS or not arc.sealers or arc.sealers[0] not in trusted:
        return ""
    text, count = ";" + arc.authres, 1
    while count:  # comments nest
        text, count = _ASIDE.subn(" ", text)
    passed = {match[1].lower() for match in _METHOD.finditer(text)}
    if "dmarc" in passed or ("arc" in passed and len(arc.sealers) > 1 and trusted.issuperset(arc.sealers)):
        return arc.sealers[0]
    return ""


def _find_pending(arc: ArcFinding, trusted: frozenset[str]) -> str:
    """The trusted domain that may have sealed the message, as soon as the DNS answers; "" when there is none."""
    newest = arc.sealers[0] if arc.sealers else ""
    return newest if arc.result is Result.TEMPERROR and newest in trusted else ""


def _asks(dmarc: DmarcFinding) -> Policy:
    """What the domain's owner wants done with this message. Several authors are none that DMARC could judge, but the
    strictest of their policies holds, else a second From would be the way around all of them."""
    return dmarc.policy if dmarc.result in (Result.FAIL, Result.PERMERROR) else Policy.NONE


def _dispose(dmarc: DmarcFinding, voucher: str) -> tuple[Policy, str]:
    """What is done because of DMARC, and why that is less than what was asked for."""
    asked = _asks(dmarc)
    if voucher and asked is not Policy.NONE and dmarc.domain:
        return Policy.NONE, "trusted_forwarder"
    return asked, "policy_test_mode" if dmarc.result is Result.FAIL and dmarc.asked is not asked else ""


def _judge_dmarc(dmarc: DmarcFinding, voucher: str, pending: str) -> _Opinion:
    if dmarc.result is Result.TEMPERROR and dmarc.could_reject and not (voucher and dmarc.domain):
        return _Opinion(Action.DEFER, Reply(451, "4.4.3", f"DMARC of {_clean(dmarc.domain)} cannot be checked now"))
    asked, _ = _dispose(dmarc, voucher)
    if asked is Policy.REJECT and pending and dmarc.domain:
        return _wait_for(pending)
    if asked is Policy.REJECT:
        whose = dmarc.record_domain or dmarc.domain
        text = f"rejected by the DMARC policy of {whose}" if whose else f"rejected by DMARC: {dmarc.reason}"
        return _Opinion(Action.REJECT, Reply(550, "5.7.1", _clean(text)))
    return _Opinion(junk=asked is Policy.QUARANTINE)


def _wait_for(sealer: str) -> _Opinion:
    return _Opinion(Action.DEFER, Reply(451, "4.4.3", f"the ARC seal of {_clean(sealer)} cannot be checked now"))


def _judge_spf(findings: Findings, settings: Settings, voucher: str, pending: str) -> _Opinion:
    spf = findings.spf
    if spf.result not in (Result.FAIL, Result.TEMPERROR):
        return _NOTHING
    # With a DMARC record SPF is one of two ways to pass, and DMARC has judged; without one nobody else has.
    alone = findings.dmarc.result in (Result.NONE, Result.PERMERROR) and not voucher and not _is_signed(findings)
    if not alone and not settings.strict_spf:
        return _NOTHING
    if spf.result is Result.TEMPERROR:
        return _Opinion(Action.DEFER, Reply(451, "4.4.3", f"SPF of {_clean(spf.domain)} cannot be checked now"))
    if pending and not settings.strict_spf:
        return _wait_for(pending)
    text = f"SPF of {_clean(spf.domain)} does not let this host send"
    if spf.explanation:
        text += f"; that domain explains: {_clean(spf.explanation)}"
    return _Opinion(Action.REJECT, Reply(550, "5.7.23", text))


def _is_signed(findings: Findings) -> bool:
    """Whether the author's domain, or one above it, has signed: it speaks for the message even without DMARC."""
    author = findings.dmarc.domain
    return any(
        one.result is Result.PASS and "." in one.domain and (author == one.domain or author.endswith(f".{one.domain}"))
        for one in findings.dkim
    )


def _describe(findings: Findings) -> Iterator[Rule]:
    """Each finding as a rule."""
    spf, dmarc, arc = findings.spf, findings.dmarc, findings.arc
    yield Rule("iprev", findings.client, _result(findings.iprev.result, findings.iprev.name, findings.iprev.reason))
    yield Rule("spf", f"{spf.identity} {spf.sender} from {findings.client}", _spf_result(spf))
    for one in findings.dkim:
        yield Rule("dkim", f"d={one.domain} s={one.selector} a={one.algorithm}", _dkim_result(one))
    if arc.result is not Result.NONE:
        yield Rule("arc", f"{arc.sets} sealed by {', '.join(arc.sealers)}", _result(arc.result, "", arc.reason))
    yield Rule("dmarc", _dmarc_input(dmarc), _dmarc_result(dmarc))


def _spf_result(spf: SpfFinding) -> str:
    return _result(spf.result, spf.mechanism and f"by {spf.mechanism}", spf.reason)


def _dkim_result(one: DkimFinding) -> str:
    return _result(one.result, "testing" if one.testing else "", one.reason)


def _dmarc_input(dmarc: DmarcFinding) -> str:
    where = f", record of {dmarc.record_domain}" if dmarc.record_domain and dmarc.record_domain != dmarc.domain else ""
    return f"from {dmarc.domain or 'nobody'}{where}"


def _dmarc_result(dmarc: DmarcFinding) -> str:
    aligned = ", ".join(f"{method} {domain}" for method, domain in dmarc.aligned)
    policy = f"policy {dmarc.policy.value}" if dmarc.result in (Result.FAIL, Result.PERMERROR) else ""
    return _result(dmarc.result, " ".join(filter(None, (aligned and f"by {aligned}", policy))), dmarc.reason)


def _result(result: Result, detail: str, reason: str) -> str:
    text = " ".join(filter(None, (result.value, detail)))
    return f"{text} ({reason})" if reason else text


def _clean(text: str) -> str:
    """Somebody else's words, fit for a reply."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_TEXT])
