"""DMARC (RFC 9989): whether a message may use its author's domain, by what SPF and DKIM found, and what its owner asks.

A message passes when an identifier that SPF or DKIM passed is aligned with the one Author Domain. SPF counts for the
identity that was checked (the reverse-path's domain, the HELO name for a null one, section 3.2.4); a DKIM signature
counts when it passed, also under a key that says t=y (RFC 6376 section 3.6.1 spares its signer harm, and passing does
none), while the failure of any signature is the same as none. Of a record that speaks of a domain that does not exist
(np=), the DNS is asked whether it does.

What RFC 9989 leaves open is decided here so that an attacker gains nothing:

- Several From fields, authors of several domains, a From field that cannot be read: the result is permerror, and the
  policy is the strictest of those domains that do not pass (section 11.5). With several From fields none can pass
  (section 4.4). More than MOST_AUTHORS domains or fields: reject, without any lookup.
- The DNS does not answer: temperror, if the answer could have changed the result. A failed lookup of an identifier
  that could not be aligned is none, nor one beside an aligned identifier that passed. `could_reject` is True as long
  as reject could be what is asked; it is False when the policy is not known but an identifier of just the Author
  Domain passed: this message would pass under any policy.

Lookups: 8 for the policy, 1 for the existence of the Author Domain, and at most 7 for each of at most MOST_WALKS
identifiers that lie below the same Organizational Domain: at most 37 for a message with one author domain, and usually
1 or 3; at most 55 for any message. None is made twice.

Diagnostics: `check_dmarc` raises nothing; a DnsFailure becomes the result temperror.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mailsrv.system.dns_values import DnsFailure
from mailsrv.mail.header import Header
from mailsrv.authn.authors import Authors, MOST_AUTHORS, find_authors
from mailsrv.authn.dmarc_record import DmarcRecord
from mailsrv.authn.findings import Ask, DkimFinding, DmarcFinding, Policy, Result, SpfFinding
from mailsrv.authn.organization import Tree

_STRICTNESS = {Policy.NONE: 0, Policy.QUARANTINE: 1, Policy.REJECT: 2}


@dataclass(frozen=True, slots=True)
class _Identifiers:
    """(method, domain) of what passed, and of what could not be checked for now; each once."""

    passed: tuple[tuple[str, str], ...] = ()
    pending: tuple[tuple[str, str], ...] = ()


_NO_IDENTIFIERS = _Identifiers()


def check_dmarc(header: Header, spf: SpfFinding, dkim: Sequence[DkimFinding], ask: Ask) -> DmarcFinding:
    """Evaluate a message by its header and what the other methods found."""
    authors = find_authors(header)
    if not authors.fault:
        return _evaluate(authors.domains[0], _identify(spf, dkim), Tree(ask))
    if authors.too_many:
        reason = f"{authors.fault}, more than {MOST_AUTHORS} fields or domains"
        return DmarcFinding(Result.PERMERROR, policy=Policy.REJECT, asked=Policy.REJECT, reason=reason)
    tree = Tree(ask)
    identifiers = _NO_IDENTIFIERS if authors.repeated else _identify(spf, dkim)
    return _judge_fault(authors, [_evaluate(domain, identifiers, tree) for domain in authors.domains])


def _identify(spf: SpfFinding, dkim: Sequence[DkimFinding]) -> _Identifiers:
    found = [(spf.result, "spf", spf.domain), *((one.result, "dkim", one.domain) for one in dkim)]

    def having(result: Result) -> tuple[tuple[str, str], ...]:
        return tuple(dict.fromkeys((method, domain) for one, method, domain in found if one is result and domain))

    return _Identifiers(having(Result.PASS), having(Result.TEMPERROR))


def _judge_fault(authors: Authors, findings: list[DmarcFinding]) -> DmarcFinding:
    """One finding for a message without exactly one author, from those of each of its domains."""
    domain = authors.domains[0] if len(authors.domains) == 1 else ""
    failed = [one for one in findings if one.result is Result.FAIL]
    strictest = max(failed, key=lambda one: _STRICTNESS[one.policy], default=DmarcFinding(Result.NONE))
    unknown = [one for one in findings if one.result is Result.TEMPERROR and one.could_reject]
    if unknown and strictest.policy is not Policy.REJECT:
        return replace(unknown[0], domain=domain, reason=f"{authors.fault}; {unknown[0].reason}")
    return replace(strictest, result=Result.PERMERROR, domain=domain, reason=authors.fault)


def _evaluate(author: str, identifiers: _Identifiers, tree: Tree) -> DmarcFinding:
    """The finding for one Author Domain."""
    try:
        record, place = tree.discover(author)
    except DnsFailure as failure:
        passes = any(domain == author for _, domain in identifiers.passed)
        return DmarcFinding(Result.TEMPERROR, author, could_reject=not passes, reason=str(failure))
    if record is None or not record.usable:
        reason = "no policy record" if record is None else "the policy record has no valid policy"
        text = "" if record is None else record.text
        return DmarcFinding(Result.NONE, author, place, tree.known_organization(author), record=text, reason=reason)
    aligned, doubts = _align(author, identifiers.passed, record, tree)
    if not aligned:
        possible, more = _align(author, identifiers.pending, record, tree)
        doubts += [f"{method} of {domain} could not be checked" for method, domain in possible] + more
    asked, doubt = _ask_policies(author, place, record, tree)
    result = Result.PASS if aligned else Result.FAIL
    if not aligned and (doubts or doubt):
        result = Result.TEMPERROR
    policy = record.soften(asked[0])
    return DmarcFinding(
        result,
        author,
        place,
        tree.known_organization(author),
        policy,
        asked[0],
        tuple(aligned),
        record.testing,
        record.text,
        could_reject=result is Result.TEMPERROR and Policy.REJECT in map(record.soften, asked),
        reason="" if aligned else "; ".join(filter(None, [*doubts, doubt])) or "no identifier passed and is aligned",
    )


def _align(
    author: str, identifiers: Iterable[tuple[str, str]], record: DmarcRecord, tree: Tree
) -> tuple[list[tuple[str, str]], list[str]]:
    """Those of the identifiers that are aligned, and a reason for each of which that cannot be told (section 4.4)."""
    aligned = []
    doubts = []
    for method, domain in identifiers:
        mode = record.aspf if method == "spf" else record.adkim
        try:
            if domain == author or mode == "r" and tree.share(author, domain):
                aligned.append((method, domain))
        except DnsFailure as failure:
            doubts.append(str(failure))
    return aligned, doubts


def _ask_policies(author: str, place: str, record: DmarcRecord, tree: Tree) -> tuple[list[Policy], str]:
    """The policy that is asked for; with a reason, those that it may be when the DNS does not tell which."""
    asked, otherwise = (record.policy(author != place, exists) for exists in (True, False))
    if asked is otherwise:
        return [asked], ""
    try:
        return [asked if tree.exists(author) else otherwise], ""
    except DnsFailure as failure:
        return [asked, otherwise], str(failure)
