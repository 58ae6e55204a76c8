"""Whether public DNS shows a DKIM key's record, as one or several resolvers see it (RFC 6376 section 3.6.2).

A key is shown when every resolver that is asked gives its record and no other. More than one record at a name is as
bad as a wrong one: verifiers may take any of them (section 3.6.2.2).

Diagnostics: `look` raises nothing; a resolver's DnsFailure becomes UNKNOWN, and its text is handed on.
"""

from collections.abc import Callable, Sequence

from mailsrv.errors import GrammarError
from mailsrv.system.dns_values import DnsFailure, Resolver
from mailsrv.authn.keys import parse_record, record_name
from mailsrv.authn.rotation import Key, Sight

# What counts when resolvers differ: the first of these that one of them says.
_WORST = (Sight.OTHER, Sight.ABSENT, Sight.UNKNOWN, Sight.SHOWN)


def look(resolvers: Sequence[Resolver], domain: str, key: Key, complain: Callable[[str], None]) -> Sight:
    """What the DNS says of a key of `domain`; `complain` gets the text of each failure. No resolver: UNKNOWN."""
    seen = {_ask(resolver, domain, key, complain) for resolver in resolvers} or {Sight.UNKNOWN}
    return next(sight for sight in _WORST if sight in seen)


def _ask(resolver: Resolver, domain: str, key: Key, complain: Callable[[str], None]) -> Sight:
    try:
        records = resolver.query(record_name(key.selector, domain), "TXT").records
    except DnsFailure as failure:
        complain(str(failure))
        return Sight.UNKNOWN
    if not records:
        return Sight.ABSENT
    try:
        shown = [parse_record(record) for record in records]
    except GrammarError:
        return Sight.OTHER
    return Sight.SHOWN if shown == [parse_record(key.record.encode("ascii"))] else Sight.OTHER
