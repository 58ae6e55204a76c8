"""An SPF record as a value: its directives in order and its modifiers, read by pyspf with stricter macros (RFC 7208
sections 4.6, 5, 6 and 7.1).

Any error anywhere spoils the whole record. Names of modifiers are compared without case, those that nobody knows may
stand there as often as they like. What a record means does not depend on whose it is, so that short ones, which are
most, are kept. Nothing is looked up and no macro is expanded here.

Diagnostics: `read_record` raises GrammarError with what is wrong and the term.
"""

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import spf

from mailsrv.errors import GrammarError
from mailsrv.authn.spf_macros import check_domain_spec, check_macro_string

MAX_TERMS = 1000  # reading them costs time
_KEPT_OCTETS = 600
_KEPT_RECORDS = 512

# What pyspf gives as the domain of a term that has none; told from a domain by being this object.
_IMPLICIT = "(the domain itself)"
_KNOWN_MODIFIERS = {"exp", "redirect"}


class Directive(NamedTuple):
    """One mechanism with its qualifier. `term` as written, `name` in lower case; `spec` the domain-spec, "" for the
    domain whose record it is; `length` of the prefix, for the client's kind of address; `network` the address of ip4
    and ip6 as a number; `result` the word for a match."""

    term: str
    name: str
    spec: str
    length: int
    network: int
    result: str


class Record(NamedTuple):
    """`modifiers` has the values of exp and redirect, if they are there."""

    directives: tuple[Directive, ...]
    modifiers: Mapping[str, str]


def read_record(text: str, ip6: bool) -> Record:
    """The terms of a record in printable ASCII that begins with its version; `ip6`: the client has an IPv6 address."""
    return _read_kept(text, ip6) if len(text) <= _KEPT_OCTETS else _read(text, ip6)


def _read(text: str, ip6: bool) -> Record:
    terms = [term for term in text.split(" ")[1:] if term]
    if len(terms) > MAX_TERMS:
        raise GrammarError(f"the SPF record has more than {MAX_TERMS} terms")
    read_term = _READERS[ip6].read
    directives = []
    modifiers: dict[str, str] = {}
    for term in terms:
        if (match := spf.RE_MODIFIER.match(term)) is None:
            directives.append(read_term(term))
            continue
        name, value = match[1].lower(), term[match.end() :]
        if name in modifiers:
            raise GrammarError(f"{name}= may stand there only once: {term}")
        check: Callable[[str], None] = check_domain_spec if name in _KNOWN_MODIFIERS else check_macro_string
        try:
            check(value)
        except GrammarError as error:
            raise GrammarError(f"{error}: {term}") from error
        if name in _KNOWN_MODIFIERS:
            modifiers[name] = value
    return Record(tuple(directives), modifiers)


_read_kept = lru_cache(maxsize=_KEPT_RECORDS)(_read)


class _Reader(spf.query):  # type: ignore[misc]  # pyspf has no types
    """What pyspf knows of terms; it needs a client and a domain for it, and does not remember anything."""

    def __init__(self, client: str) -> None:
        super().__init__(client, "", "")
        self.d = _IMPLICIT

    def read(self, term: str) -> Directive:
        """Raises GrammarError."""
        try:
            _, name, spec, length, result = self.validate_mechanism(term)
            network = int(ipaddress.ip_address(spec)) if name in ("ip4", "ip6") else 0
        except spf.PermError as error:
            raise GrammarError(str(error)) from error
        except ValueError as error:  # a prefix length beyond all bounds, an address that only pyspf takes for one
            raise GrammarError(f"a number or an address that is none: {term}") from error
        if spec is _IMPLICIT:
            if name == "exists":
                raise GrammarError(f"exists without a domain: {term}")
            spec = ""
        return Directive(term, name, spec, length, network, result)

    def expand_domain(self, arg: str) -> str:
        """Check the domain of a term; macros are expanded when the term is evaluated, if it ever is."""
        if arg is not _IMPLICIT:
            try:
                check_domain_spec(arg)
            except GrammarError as error:
                raise spf.PermError(str(error), arg) from error
        return arg


_READERS = {False: _Reader("0.0.0.0"), True: _Reader("::")}
