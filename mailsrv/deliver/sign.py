"""Who signs an outgoing message: the active DKIM keys of the domain of its header's From.

The domain is the one that DMARC looks at; without keys of its own the nearest of our domains above it signs, which is
still aligned (RFC 9989 calls it relaxed). A message is signed only as a whole: one From field, one author's domain.

Only mail that comes from an authenticated account, a local program or this server itself may be brought here: signing
what was merely forwarded would make a stranger's forgery of our addresses genuine.

Diagnostics: `check`, `keys_for` and `sign` raise GrammarError or StorageError, naming the file, when keys cannot be
read; the message should wait then, because without its signature it could be refused for good.
"""

from collections.abc import Iterable

from mailsrv.errors import GrammarError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.mail.address import domain_key
from mailsrv.mail.header import Header, scan
from mailsrv.mail.mailboxes import parse_mailboxes
from mailsrv.authn.dkim import FieldNames, SigningKey, choose_fields, hash_body, select_fields, sign
from mailsrv.authn.keystore import KeyStore
from mailsrv.config.schema import Config

_AUTHOR = b"from"


class Signer:
    """Signs for `domains` (any case, U-labels or A-labels). Threads may share it; keys are read once and when they have
    changed.
    """

    def __init__(
        self, store: KeyStore, domains: Iterable[str], clock: Clock, chosen: FieldNames | None = None
    ) -> None:
        """`chosen`: which fields are signed, those of mailsrv.authn.dkim by default."""
        self._store = store
        self._domains = frozenset(domain_key(domain) for domain in domains)
        self._clock = clock
        self._chosen = chosen or FieldNames()

    def check(self) -> None:
        """Read every domain's keys now: what is wrong with them is known at the start."""
        for domain in self._domains:
            self._store.active(domain)

    def sign(self, header: bytes, body: Iterable[bytes]) -> bytes:
        """The DKIM-Signature fields to put in front of the message, b"" when no key fits.

        `header` are the message's octets before its body, with or without the empty line; `body` gives the rest in
        blocks (256 KiB are good ones) and is read only if there is a key, to its end then.
        """
        scanned = scan(header, True)
        keys = self.keys_for(scanned) if scanned is not None else ()
        if scanned is None or not keys:
            return b""
        return sign(select_fields(scanned, self._chosen), hash_body(body), keys, self._clock.now())

    def keys_for(self, header: Header) -> tuple[SigningKey, ...]:
        """The keys that sign a message with this header."""
        domain = _author_domain(header)
        while domain:
            if domain in self._domains and (keys := self._store.active(domain)):
                return keys
            domain = domain.partition(".")[2]
        return ()


def signing_domains(config: Config) -> list[str]:
    """Whose keys may sign, in lower-case A-labels: the domains, their other names, and the host, whose reports come
    from it.
    """
    domains = (*config.domains, *config.domain_aliases, config.hostname)
    return list(dict.fromkeys(domain_key(domain) for domain in domains))


def make_signer(config: Config, disk: Disk, clock: Clock) -> Signer | None:
    """The signer that the configuration asks for; None where it wants no signatures."""
    if not config.dkim.sign:
        return None
    fields = choose_fields(config.dkim.headers)
    return Signer(KeyStore(disk, config.data_dir), signing_domains(config), clock, fields)


def _author_domain(header: Header) -> str:
    """The one domain of the addresses in the one From field, in lower-case A-labels; "" otherwise."""
    values = header.values(_AUTHOR)
    if len(values) != 1:
        return ""
    try:
        found = {domain_key(address.domain) for address in parse_mailboxes(values[0])}
    except GrammarError:
        return ""
    return found.pop() if len(found) == 1 else ""
