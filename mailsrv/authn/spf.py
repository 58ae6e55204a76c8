"""SPF: may this client send for the domain of the reverse-path, or of the HELO name (RFC 7208, RFC 8616 section 4).

It is evaluated by pyspf, and every lookup goes through the Ask that is handed in. Where pyspf does other than the RFC
says its methods are replaced here: an explanation is fetched after a fail and at no other time, macros are expanded
when their term is evaluated, a redirection counts when it is followed, errors of reverse lookups decide nothing, and
neither the clock nor standard output is used. Limits (section 4.6.4): 10 terms that look something up, 10 hosts of an
mx, 10 names of a ptr, and two terms in vain; records of more than 8 KiB are not read.

Diagnostics: raises nothing for what the DNS says, or does not say, or a client claims: that becomes a Result.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import spf

from mailsrv.errors import GrammarError
from mailsrv.system.dns_values import BudgetSpent, DnsFailure
from mailsrv.mail.address import domain_to_ascii, quote_local_part
from mailsrv.mail.envelope import ReversePath
from mailsrv.authn.findings import Ask, Result, SpfFinding
from mailsrv.authn.spf_macros import (
    check_explanation,
    expand,
    expand_name,
    names_local_part,
)
from mailsrv.authn.spf_record import Directive, read_record

MAX_RECORD = 8192  # octets: section 3.4 asks for less than 512, and what is read costs time
MAX_EXPLANATION = 250  # characters: it goes into a reply
_MAX_EXPLANATION_TEXT = 1024  # octets, before its macros are expanded
_MAX_REASON = 200  # characters

# Names of at least two labels of 1 to 63 octets: one that has a record (section 4.3), and one that macros made (nothing
# in it is an escape: where the backslash is meant as one or stands for itself, nobody knows).
_DOMAIN = re.compile(r"(?:[!-\-/-\[\]-~]{1,63}\.)+[!-\-/-\[\]-~]{1,63}")
_NAME = re.compile(r"(?:[ -\-/-\[\]-~]{1,63}\.)+[ -\-/-\[\]-~]{1,63}")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_DECIDED = {Result.PASS, Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL}
_SENDS_NOTHING = [b"v=spf1", b"-all"]


class _Spent(spf.TempError):  # type: ignore[misc]  # pyspf has no types
    """Nothing more may be looked up: unlike other failures this one is nobody's, so that it decides nothing."""


def check_spf(client: str, helo: str, reverse_path: ReversePath, ask: Ask, now: float, receiver: str) -> SpfFinding:
    """Evaluate the reverse-path's domain, or for the null reverse-path that of `postmaster@HELO` (section 2.4).

    `client` is an IP address as text, `receiver` our host name and `now` seconds since the epoch, for macros."""
    if reverse_path is None or not reverse_path.domain:
        identity, local_part, domain = "helo", "postmaster", helo
    else:
        identity, local_part, domain = "mailfrom", reverse_path.local_part or "postmaster", reverse_path.domain
    name = _read_domain(domain)
    sender = f"{quote_local_part(local_part)}@{name or domain}"
    if not name:
        return SpfFinding(Result.NONE, identity, "", sender, reason="no domain name that could have a record")
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return SpfFinding(Result.NONE, identity, name, sender, reason="the client has no IP address")
    query = _Query(str(address), _clean(helo), _clean(local_part), name, ask)
    query.t, query.r = str(int(now)), receiver
    result, reason = query.evaluate()
    mechanism = _shorten(query.mechanism or "default") if result in _DECIDED else ""
    explanation = query.explain() if result is Result.FAIL else ""
    return SpfFinding(result, identity, name, sender, mechanism, explanation, reason)


def sends_nothing(domain: str, ask: Ask) -> str:
    """Why no mail can come from this domain: "SPF record v=spf1 -all" or "null MX" (RFC 7505); "" when some may, or
    nobody knows."""
    name = _read_domain(domain)
    if not name:
        return ""
    try:
        records = [record.lower() for record in ask(name, "TXT").records if spf.RE_SPF.match(record)]
        if len(records) == 1 and [word for word in records[0].split(b" ") if word] == _SENDS_NOTHING:
            return "SPF record v=spf1 -all"
        hosts = ask(name, "MX").records
    except DnsFailure:
        return ""
    return "null MX" if len(hosts) == 1 and hosts[0].host in ("", ".") else ""


def _read_domain(text: str) -> str:
    """The name in lower-case A-labels, "" when it is none of several labels (an address literal, "localhost")."""
    if not text.isascii():
        try:
            text = domain_to_ascii(text)
        except GrammarError:
            return ""
    name = text.removesuffix(".").lower()
    if len(name) > 253 or not _DOMAIN.fullmatch(name) or name.startswith("["):
        return ""
    return "" if name.rpartition(".")[2].isdigit() else name  # an address without its brackets


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _shorten(text: str) -> str:
    text = _NOT_PRINTABLE.sub("?", text)
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 3] + "..."


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """One evaluation. pyspf's names: `d` is the domain whose record is evaluated at the moment, `i` the client for
    macros, `A` the type of its addresses; the other letters as in section 7.2."""

    def __init__(self, client: str, helo: str, local_part: str, domain: str, ask: Ask) -> None:
        super().__init__(client, f"{local_part}@{domain}", helo)
        self.l, self.o, self.d = local_part, domain, domain
        self._ask = ask
        self._width = self.ipaddr.max_prefixlen
        self._number = int(self.ipaddr)
        self._names: list[str] | None = None  # that the client's reverse lookup gave and its addresses confirm
        self._has_no_name = False  # so the DNS says
        self._in_vain = False  # whether the term at hand was counted as a void lookup
        self._explains = ("", "")  # exp= of the record that decides, and its domain

    def evaluate(self) -> tuple[Result, str]:
        """The result, and what went wrong in printable ASCII."""
        word, _, _ = self.check()
        if word == "none":
            return Result.NONE, f"{self.d} has no SPF record"
        if word not in ("temperror", "permerror"):
            return Result(word), ""
        return Result(word), _shorten(": ".join(map(str, [self.prob, *self.mech])))

    def explain(self) -> str:
        """The domain's own words for a fail (section 6.2), "" if there are none that can be had."""
        spec, self.d = self._explains
        if not spec or not self._can_expand(spec):
            return ""
        try:
            texts = self.dns_txt(self._target(spec), ignore_void=True)
            if len(texts) != 1 or len(texts[0]) > _MAX_EXPLANATION_TEXT:
                return ""
            text = texts[0].decode("ascii")
            check_explanation(text)
            return _NOT_PRINTABLE.sub("?", expand(text, self._macro))[:MAX_EXPLANATION]
        except (spf.TempError, GrammarError, UnicodeDecodeError):
            return ""

    # What pyspf calls, replaced.

    def check0(self, record: str | None, recursion: int) -> tuple[str, int, str]:
        """Evaluate one record; pyspf has set `d` to its domain."""
        if not record:
            return "none", 0, ""
        try:
            directives, modifiers = read_record(record, self.v == "ip6")
        except GrammarError as error:
            raise spf.PermError(str(error)) from error
        if not recursion:  # what an included record explains is not ours (section 6.2)
            self._explains = (modifiers.get("exp", ""), self.d)
        for directive in directives:
            if self._matches(directive, recursion):
                if not recursion:
                    self.mechanism = directive.term
                return directive.result, 0, ""
        if "redirect" not in modifiers:
            return "neutral", 0, ""
        return self._redirect(modifiers["redirect"], recursion)

    def dns_spf(self, domain: str) -> str | None:
        """The one SPF record of a domain, None without."""
        record: str | None = super().dns_spf(domain) if _NAME.fullmatch(domain) else None
        if record is not None and len(record) > MAX_RECORD:
            raise spf.PermError(f"the SPF record is longer than {MAX_RECORD} octets", domain)
        if record is not None and _NOT_PRINTABLE.search(record):
            raise spf.PermError("the SPF record has a control character", domain)
        return record

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:
        """Records as pyspf wants them; none for a name that cannot be one (section 4.8 leaves that to us)."""
        if not _NAME.fullmatch(name):
            return []
        try:
            records: Iterable[Any] = self._ask(name, qtype).records
        except BudgetSpent as failure:
            raise _Spent(str(failure)) from failure
        except DnsFailure as failure:
            raise spf.TempError(str(failure)) from failure
        if qtype == "MX":
            return [(record.preference, record.host) for record in records]
        found = [(record,) for record in records] if qtype == "TXT" else list(records)
        if not found and not ignore_void:
            self._count_void()
        return found

    def dns_mx(self, domainname: str) -> Iterator[str]:
        """The addresses of the hosts of an mx, looked up as far as they are wanted."""
        hosts = sorted(self.dns(domainname, "MX"))
        if len(hosts) > spf.MAX_MX:
            raise spf.PermError(f"More than {spf.MAX_MX} MX records", domainname)
        for _, host in hosts:
            yield from self.dns_a(host, self.A)

    def validated_ptrs(self) -> list[str]:
        """Names of the client that its addresses confirm (section 5.5); whatever fails on the way is passed over."""
        if self._names is None:
            found = self._reverse()
            self._has_no_name = found == []
            self._names = [name for name in (found or [])[: spf.MAX_PTR] if self._confirms(name)]
        return self._names

    def cidrmatch(self, ipaddrs: Iterable[str], n: int) -> bool:
        """Whether one of these addresses, of the client's kind, has its first `n` bits."""
        shift = self._width - n
        wanted = self._number >> shift
        return any(int(ipaddress.ip_address(address)) >> shift == wanted for address in ipaddrs)

    # The steps of an evaluation.

    def _matches(self, directive: Directive, recursion: int) -> bool:
        _, name, spec, length, network, _ = directive
        if name == "all":
            return True
        if name in ("ip4", "ip6"):
            shift = self._width - length
            return (name == "ip6") is (self.v == "ip6") and network >> shift == self._number >> shift
        self.check_lookups()
        self._in_vain = False
        if not self._can_expand(spec):
            return False
        return _MECHANISMS[name](self, self._target(spec) if spec else self.d, length, recursion)

    def _include(self, target: str, _: int, recursion: int) -> bool:
        result, _, _ = self.check1(self.dns_spf(target), target, recursion + 1)
        if result == "none":
            raise spf.PermError("the included domain has no SPF record", target)
        return bool(result == "pass")

    def _exists(self, target: str, _: int, __: int) -> bool:
        return bool(self.dns_a(target, "A"))

    def _a(self, target: str, length: int, _: int) -> bool:
        return self.cidrmatch(self.dns_a(target, self.A), length)

    def _mx(self, target: str, length: int, _: int) -> bool:
        return self.cidrmatch(self.dns_mx(target), length)

    def _ptr(self, target: str, _: int, __: int) -> bool:
        names = self.validated_ptrs()
        if self._has_no_name:
            self._count_void()
        return bool(spf.domainmatch(names, target))

    def _redirect(self, spec: str, recursion: int) -> tuple[str, int, str]:
        self.check_lookups()
        self._in_vain = False
        target = self._target(spec) if self._can_expand(spec) else ""
        record = self.dns_spf(target)
        if not record:
            raise spf.PermError("the domain of redirect= has no SPF record", target)
        answer: tuple[str, int, str] = self.check1(record, target, recursion)
        return answer

    def _can_expand(self, spec: str) -> bool:
        """A local part beyond ASCII stands in no name of the DNS (RFC 8616 section 4)."""
        return bool(self.l.isascii()) or not names_local_part(spec)

    def _target(self, spec: str) -> str:
        return expand_name(spec, self._macro).lower()

    def _macro(self, letter: str) -> str:
        value: str = self._client_name() if letter == "p" else getattr(self, letter)
        return value

    def _client_name(self) -> str:
        """The macro p: a confirmed name of the client, best one of the domain at hand or below it."""
        names = self.validated_ptrs()
        if self.d in names:
            return str(self.d)
        below = (name for name in names if name.endswith(f".{self.d}"))
        return next(below, names[0] if names else "unknown")

    def _reverse(self) -> list[str] | None:
        """What the client's address is called, None if that cannot be found out."""
        labels = reversed(self.i.lower().split("."))
        return self._look_up(f"{'.'.join(labels)}.{self.v}.arpa", "PTR")

    def _confirms(self, name: str) -> bool:
        return self.cidrmatch(self._look_up(name, self.A) or [], self._width)

    def _look_up(self, name: str, kind: str) -> list[str] | None:
        """A lookup whose failure decides nothing, but that of the budget does."""
        try:
            return self.dns(name, kind, ignore_void=True)
        except _Spent:
            raise
        except spf.TempError:
            return None

    def _count_void(self) -> None:
        """Section 4.6.4 counts terms that look for what is not there: the hosts of one mx count once."""
        if self._in_vain:
            return
        self._in_vain = True
        self.void_lookups += 1
        if self.void_lookups > spf.MAX_VOID_LOOKUPS:
            raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} terms look for what is not there")


# Mechanisms that look something up: (evaluation, target, prefix length, depth) -> whether it matches.
_MECHANISMS: dict[str, Callable[[_Query, str, int, int], bool]] = {
    "include": _Query._include,
    "exists": _Query._exists,
    "a": _Query._a,
    "mx": _Query._mx,
    "ptr": _Query._ptr,
}
