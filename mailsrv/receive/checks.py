"""Mail from elsewhere is judged for who sends it: what the checks find, what is decided, what the content filter says,
and the fields that tell all of it on top of the message.

Only sessions of nobody who has logged in are checked, and only over SMTP. Every check is made, then authn/verdict
decides once. Each rule with its input and result goes into the transaction, and so into the decision record, and into
the message's X-Mailsrv-Reasons. What is told to others (DMARC's rows, who is known) is told when the reply is certain.

Diagnostics: raises nothing but StorageError, when the message cannot be read back; a refusal is a Reply.
"""

from collections.abc import Callable, Iterator

from mailsrv.errors import StorageError
from mailsrv.mail.address import domain_key
from mailsrv.mail.authres import MethodResult, claims, format_authres
from mailsrv.mail.header import Header
from mailsrv.mail.reasons import reasons_field
from mailsrv.mail.received_spf import ReceivedSpf, claims_receiver, received_spf_field
from mailsrv.mail.reply import Reply
from mailsrv.authn.dmarc_row import Override, Passage, make_row
from mailsrv.authn.evaluate import evaluate
from mailsrv.authn.findings import Ask, DkimFinding, Findings, Result, Subject
from mailsrv.authn.spf import sends_nothing
from mailsrv.authn.verdict import Settings, decide
from mailsrv.config.schema import Config
from mailsrv.receive.filter import Action, FilterFinding, FilterMessage, Scan
from mailsrv.receive.state import Judged, State, Transaction
from mailsrv.smtp.events import Kind
from mailsrv.store.senders import network_of
from mailsrv.system import events
from mailsrv.system.scratch import Octets

JUNK = "Junk"
SENDS_NOTHING = Reply(550, "5.7.27", "the sender's domain sends no mail")

# Fields that nobody but us may write, if they stand under our name (spares).
OURS = frozenset({b"authentication-results", b"received-spf", b"x-mailsrv-reasons"})


def is_checked(state: State) -> bool:
    """Whether this session's mail must show who sends it: SMTP from a client that is neither logged in nor exempt."""
    house = state.house
    return (
        state.peer.kind is Kind.SMTP
        and not state.account
        and house.lookups is not None
        and not house.exempts(state.peer.client)
    )


def check_domain(state: State, transaction: Transaction) -> Reply | None:
    """At MAIL: refuse a domain that says that it sends nothing (RFC 7505 section 4.2, RFC 7208 section 10.1.2)."""
    path = transaction.reverse_path
    if path is None or path.is_literal or not is_checked(state):
        return None
    domain = domain_key(path.domain)
    reason = sends_nothing(domain, _ask(state, transaction))
    transaction.rules.append(("mail", "sends_nothing", domain, reason or "accept"))
    return Reply(SENDS_NOTHING.code, SENDS_NOTHING.enhanced, f"{domain} sends no mail ({reason})") if reason else None


def remove_forged(state: State, scanned: Header) -> bytes:
    """The header without what only we may write: results under our name, and reasons. Not for LMTP, whose client is a
    part of our own house. Return-Path is for final delivery to write. What has none of these comes back itself."""
    return scanned.without(_RETURN_PATH) if state.is_lmtp else scanned.without(OURS | _RETURN_PATH, spares(state))


def spares(state: State) -> Callable[[bytes, bytes], bool]:
    """Which fields of these names, by name and raw value, are not ours: results under another name."""
    hostname = state.house.config.hostname
    return lambda name, value: name in _CLAIMS and not _CLAIMS[name](value, hostname)


def judge(state: State, transaction: Transaction, scanned: Header, octets: Octets) -> Octets | Reply:
    """Check a message that is complete; `octets` is what would be stored. Gives it with our fields on top, or why it is
    refused; Junk is noted in the transaction."""
    house, config = state.house, state.house.config
    scratch = transaction.scratch
    assert scratch is not None  # the message is there
    subject = Subject(
        state.peer.client, state.helo, transaction.reverse_path, scanned, lambda: scratch.blocks(scanned.length)
    )
    ask = _ask(state, transaction)
    findings = evaluate(subject, ask, house.clock.now(), config.hostname, config.checks.signatures)
    verdict = decide(findings, _settings(config))
    transaction.judged = Judged(findings, verdict)
    transaction.rules += [("data", rule.name, rule.input, rule.result) for rule in verdict.rules]
    if verdict.reply is not None:
        return verdict.reply
    junk = verdict.junk
    top = format_authres(config.hostname, list(_methods(findings))) + _received_spf(config.hostname, findings)
    octets = Octets(top + octets.prefix, octets.scratch, octets.skip)
    if house.filter is not None:
        filtered = house.filter.scan(_show(state, transaction, findings, octets))
        transaction.rules.append(("data", "filter", _filter_input(filtered), _filter_result(filtered)))
        if filtered.scan is Scan.FAILED:
            events.unfiltered(house.log, id=transaction.id, reason=filtered.reason)
        if filtered.reply is not None:
            return filtered.reply
        junk = junk or filtered.action is Action.JUNK
        octets = Octets(filtered.fields + octets.prefix, octets.scratch, octets.skip)
    if junk:
        transaction.mailbox = JUNK
    rules = [(name, str(value), result) for _stage, name, value, result in transaction.rules]
    return Octets(reasons_field(rules) + octets.prefix, octets.scratch, octets.skip)


def conclude(state: State, transaction: Transaction, is_kept: bool) -> None:
    """The reply is certain, and it is not "try again": remember who has proven himself, if his message was kept, and
    keep the row for DMARC's reports."""
    judged = transaction.judged
    if judged is None:
        return
    house = state.house
    findings, verdict = judged.findings, judged.verdict
    path = transaction.reverse_path
    if is_kept and house.senders is not None and path is not None and findings.dmarc.result is Result.PASS:
        try:
            house.senders.passed(network_of(state.peer.client), domain_key(path.domain))
        except StorageError:
            pass  # told in the log; the sender is greeted as a stranger once more
    if house.collector is not None:
        domains = {domain_key(path.domain) for path, _accounts in transaction.forward_paths}
        passage = Passage(
            house.clock.now(),
            transaction.id,
            domain_key(path.domain) if path is not None else "",
            domains.pop() if len(domains) == 1 else "",
            verdict.disposition,
            (Override(verdict.override),) if verdict.override else (),
        )
        house.collector.collect(make_row(findings, passage))


def _ask(state: State, transaction: Transaction) -> Ask:
    """The way to the DNS with the budget of this message."""
    if transaction.ask is None:
        assert state.house.lookups is not None  # is_checked
        transaction.ask = state.house.lookups()
    return transaction.ask


def _settings(config: Config) -> Settings:
    return Settings(config.spf.fail == "reject", frozenset(domain_key(domain) for domain in config.arc.trusted))


def _show(state: State, transaction: Transaction, findings: Findings, octets: Octets) -> FilterMessage:
    path = transaction.reverse_path
    return FilterMessage(
        id=transaction.id,
        client=state.peer.client,
        client_name=findings.iprev.name,
        helo=state.helo,
        hostname=state.house.config.hostname,
        account=state.account,
        reverse_path="" if path is None else str(path),
        recipients=tuple(str(path) for path, _accounts in transaction.forward_paths),
        tls=state.tls_text,
        octets=octets,
    )


def _filter_input(found: FilterFinding) -> str:
    score = "" if found.score is None else f"score {found.score:.2f}"
    return " ".join([score, *found.symbols]).strip()


def _filter_result(found: FilterFinding) -> str:
    words = [found.action.value, f"({found.scan.value})" if found.reason or found.ignored else "", found.reason]
    words += ["ignored: " + ", ".join(found.ignored)] if found.ignored else []
    return " ".join(filter(None, words))


def _received_spf(hostname: str, findings: Findings) -> bytes:
    spf = findings.spf
    return received_spf_field(
        ReceivedSpf(
            spf.result.value, findings.client, findings.helo, spf.identity, spf.domain, spf.sender, hostname,
            spf.mechanism, spf.reason,
        )
    )  # fmt: skip


def _methods(findings: Findings) -> Iterator[MethodResult]:
    """RFC 8601 section 2.7, and RFC 9989 section 9.1 for DMARC's policy."""
    spf, dmarc, arc, iprev = findings.spf, findings.dmarc, findings.arc, findings.iprev
    yield MethodResult("iprev", iprev.result.value, iprev.reason, (("policy", "iprev", findings.client),), iprev.name)
    identity = ("smtp", "mailfrom", spf.sender) if spf.identity == "mailfrom" else ("smtp", "helo", spf.domain)
    yield MethodResult("spf", spf.result.value, spf.reason, (identity,))
    for one in findings.dkim:
        yield MethodResult("dkim", one.result.value, one.reason, _dkim_properties(one))
    if not findings.dkim:
        yield MethodResult("dkim", Result.NONE.value)
    if arc.result is not Result.NONE:
        properties = (("smtp", "remote-ip", findings.client),)
        yield MethodResult("arc", arc.result.value, arc.reason, properties, f"i={arc.sets}")
    author = (("header", "from", dmarc.domain),) if dmarc.domain else ()
    failed = dmarc.result in (Result.FAIL, Result.PERMERROR) and dmarc.record
    policy = (("policy", "dmarc", dmarc.policy.value),) if failed else ()
    yield MethodResult("dmarc", dmarc.result.value, dmarc.reason, (*author, *policy))


def _dkim_properties(one: DkimFinding) -> tuple[tuple[str, str, str], ...]:
    named = (("d", one.domain), ("i", one.identity), ("s", one.selector), ("a", one.algorithm), ("b", one.signature))
    return tuple(("header", name, value) for name, value in named if value)


_RETURN_PATH = frozenset({b"return-path"})
_CLAIMS = {b"authentication-results": claims, b"received-spf": claims_receiver}
