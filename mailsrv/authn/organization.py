"""The DNS tree walk (RFC 9989 section 4.10): which policy record applies to a domain, and its Organizational Domain.

A walk asks for the records of a domain and of the domains above it, at most MOST_LOOKUPS names whatever the domain's
length, and ends early where a record says psd=y or psd=n. A Tree serves one evaluation: each name is asked once, and a
failure is remembered as well, so that walks that share names cost only the names they do not share.

Two domains share an Organizational Domain only if that is a domain above (or equal to) both; where one lies elsewhere,
nothing is asked (`Tree.share`).

Diagnostics: raises DnsFailure when the DNS gives no answer; `share` and the callers say what that means.
"""

from mailsrv.system.dns_values import Answer, DnsFailure, Status
from mailsrv.authn.dmarc_record import DmarcRecord, find_record
from mailsrv.authn.findings import Ask

MOST_LOOKUPS = 8  # of one walk, section 4.10
MOST_WALKS = 4  # of one evaluation, for identifiers that are compared with the Author Domain
SHORTENED = MOST_LOOKUPS - 1  # labels of the second name that is asked for a domain of more than that


class Tree:
    """The policy records that one evaluation looks at. Domains are lower-case A-labels without a final dot. `walks`
    bounds those for domains that are compared with another one."""

    __slots__ = ("_answers", "_ask", "_organizations", "_records", "_walks_left")

    def __init__(self, ask: Ask, walks: int = MOST_WALKS) -> None:
        self._ask = ask
        self._answers: dict[tuple[str, str], Answer | DnsFailure] = {}
        self._records: dict[str, DmarcRecord | None] = {}
        self._organizations: dict[str, str] = {}
        self._walks_left = walks

    def record(self, domain: str) -> DmarcRecord | None:
        """The policy record at this very domain. Raises DnsFailure."""
        if domain not in self._records:
            self._records[domain] = find_record(self.answer(f"_dmarc.{domain}", "TXT").records)
        return self._records[domain]

    def discover(self, domain: str) -> tuple[DmarcRecord | None, str]:
        """The record that applies to mail from `domain`, and where it stands: the domain's own, its Organizational
        Domain's, or that of the Public Suffix Domain above, whichever comes first (section 4.10.1). (None, "") without
        one. Raises DnsFailure."""
        own = self.record(domain)
        if own is not None:
            return own, domain
        found = self._walk(domain)
        organization = self._organizations[domain] = _select(domain, found)
        at_organization = self._records.get(organization)
        if at_organization is not None:
            return at_organization, organization
        if found:  # the walk ended at psd=y, and the organization below it has no record that was met
            return found[-1][1], found[-1][0]
        return None, ""

    def organization(self, domain: str) -> str:
        """The Organizational Domain of a domain (section 4.10.2). Raises DnsFailure."""
        known = self._organizations.get(domain)
        if known is None:
            known = self._organizations[domain] = _select(domain, self._walk(domain))
        return known

    def known_organization(self, domain: str) -> str:
        """The same, as far as walks have found it without asking anew: else the domain itself, which section 4.10.2
        takes for it where nothing depends on more."""
        return self._organizations.get(domain, domain)

    def share(self, first: str, second: str) -> bool:
        """Whether two domains have one Organizational Domain; beyond `walks` different `second` that would need a
        walk of their own the answer is no. Raises DnsFailure."""
        if first == second:
            return True
        if first.rpartition(".")[2] != second.rpartition(".")[2]:
            return False
        organization = self.organization(first)
        if not is_within(second, organization):
            return False
        if second not in self._organizations:
            if not self._walks_left:
                return False
            self._walks_left -= 1
        return self.organization(second) == organization

    def exists(self, domain: str) -> bool:
        """Whether the DNS has this name (section 3.2.13): a name with anything below it exists (RFC 8020), and so does
        an alias, wherever it leads. At most one lookup beyond those of the walk. Raises DnsFailure."""
        below = f"_dmarc.{domain}"
        if _has_name(self.answer(below, "TXT"), below):
            return True
        return _has_name(self.answer(domain, "MX"), domain)

    def answer(self, name: str, kind: str) -> Answer:
        """What the DNS says, asked for once. Raises DnsFailure, at each call when it did at the first."""
        answer = self._answers.get((name, kind))
        if answer is None:
            try:
                answer = self._ask(name, kind)
            except DnsFailure as failure:
                answer = failure
            self._answers[name, kind] = answer
        if isinstance(answer, DnsFailure):
            raise answer
        return answer

    def _walk(self, domain: str) -> list[tuple[str, DmarcRecord]]:
        """The records on the way up, with their domains, longest first."""
        found = []
        for name in names_of_walk(domain):
            record = self.record(name)
            if record is not None:
                found.append((name, record))
                if record.psd != "u":
                    break
        return found


def names_of_walk(domain: str) -> list[str]:
    """The domains whose records a walk asks for, in this order; at most MOST_LOOKUPS."""
    labels = domain.split(".")
    parents = min(len(labels) - 1, SHORTENED)
    return [domain, *(".".join(labels[len(labels) - count :]) for count in range(parents, 0, -1))]


def is_within(domain: str, above: str) -> bool:
    """Whether `domain` is `above` or a domain below it."""
    return domain == above or domain.endswith(f".{above}")


def _select(domain: str, found: list[tuple[str, DmarcRecord]]) -> str:
    """The Organizational Domain among the records of a walk (section 4.10.2); psd= stands in the last one only."""
    if not found:
        return domain
    name, record = found[-1]
    if record.psd == "y" and name != domain:
        labels = domain.split(".")
        return ".".join(labels[len(labels) - name.count(".") - 2 :])
    return name


def _has_name(answer: Answer, name: str) -> bool:
    return answer.status is not Status.NO_NAME or answer.canonical not in ("", name)
