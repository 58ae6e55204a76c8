"""Arguments of the commands that are about the session: login, ENABLE, ID, COMPRESS and those without any (RFC 9051
section 6.1 and 6.2, RFC 5161, RFC 2971, RFC 4978, RFC 8437).

Diagnostics: readers raise GrammarError with what was expected, and Refusal for what is not offered here and now.
"""

import re
from binascii import a2b_base64
from dataclasses import dataclass, field

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal, Status, bad, no
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor

MAX_ID_PAIRS = 30  # RFC 2971 section 3.3, with the two lengths below
MAX_ID_FIELD = 30
MAX_ID_VALUE = 1024
MAX_CAPABILITIES = 100  # in one ENABLE

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

# What ENABLE turns on (RFC 5161 section 3.1, RFC 9051 section 6.3.1, RFC 6855, RFC 7162, RFC 9586), as it is written.
ENABLEABLE = {
    name.upper(): name
    for name in ("IMAP4rev2", "UTF8=ACCEPT", "CONDSTORE", "QRESYNC", "UIDONLY", "METADATA", "METADATA-SERVER")
}


@dataclass(frozen=True, slots=True)
class Nothing:
    """No arguments: CAPABILITY NOOP LOGOUT STARTTLS NAMESPACE IDLE CHECK CLOSE UNSELECT EXPUNGE UNAUTHENTICATE."""


@dataclass(frozen=True, slots=True)
class Login:
    """LOGIN, where Offer.login allows it. The password is kept out of what a log may print."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE with a mechanism that is offered; `initial` is the decoded initial response, None without one."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enable:
    """ENABLE: `capabilities` are those that are known and not enabled yet, as ENABLEABLE spells them."""

    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Id:
    """ID: what the client says about itself, None for NIL. Not to be believed."""

    fields: tuple[tuple[str, str | None], ...] | None


@dataclass(frozen=True, slots=True)
class Compress:
    """COMPRESS DEFLATE (RFC 4978)."""


NOTHING = Nothing()
_COMPRESS = Compress()


def read_nothing(cursor: Cursor, situation: Situation) -> Nothing:
    """No arguments."""
    cursor.expect_end()
    return NOTHING


def read_starttls(cursor: Cursor, situation: Situation) -> Nothing:
    """STARTTLS, where it is offered (RFC 9051 section 6.2.1)."""
    cursor.expect_end()
    if situation.tls:
        raise Refusal(bad("TLS is active already"))
    if not situation.offer.starttls:
        raise Refusal(bad("STARTTLS is not offered here"))
    return NOTHING


def read_login(cursor: Cursor, situation: Situation) -> Login:
    """LOGIN name password."""
    cursor.expect_space("a name")
    name = cursor.expect_text("a name")
    cursor.expect_space("a password")
    password = cursor.expect_text("a password")
    cursor.expect_end()
    if not situation.offer.login:
        raise Refusal(_not_offered(situation, "LOGIN"))
    return Login(name, password)


def read_authenticate(cursor: Cursor, situation: Situation) -> Authenticate:
    """AUTHENTICATE mechanism [initial response] (RFC 4959)."""
    cursor.expect_space("a mechanism")
    mechanism = cursor.expect_word("a mechanism").decode()
    initial = None
    if not cursor.at_end:
        cursor.expect_space("an initial response")
        response = cursor.octets[cursor.at :]
        initial = b"" if response == b"=" else read_base64(response)
    if mechanism not in situation.offer.mechanisms:
        raise Refusal(_not_offered(situation, "this mechanism"))
    return Authenticate(mechanism, initial)


def _not_offered(situation: Situation, what: str) -> Status:
    if not situation.tls and situation.offer.starttls:
        return no(f"{what} needs TLS: STARTTLS comes first", "PRIVACYREQUIRED")
    return no(f"{what} is not offered", "CANNOT")


def read_base64(octets: bytes) -> bytes:
    """Strict base64 (RFC 4648 section 4); raises GrammarError."""
    if not _BASE64.fullmatch(octets):
        raise GrammarError("expected base64")
    return a2b_base64(octets)


def read_enable(cursor: Cursor, situation: Situation) -> Enable:
    """ENABLE capability ...; unknown ones are passed over."""
    found: dict[str, None] = {}
    count = 0
    while not cursor.at_end or not count:
        cursor.expect_space("a capability")
        name = cursor.expect_word("a capability").decode()
        count += 1
        if count > MAX_CAPABILITIES:
            raise GrammarError(f"expected at most {MAX_CAPABILITIES} capabilities")
        if name in ENABLEABLE and name not in situation.enabled:
            found[ENABLEABLE[name]] = None
    return Enable(tuple(found))


def read_id(cursor: Cursor, situation: Situation) -> Id:
    """ID NIL or ID (field value ...)."""
    cursor.expect_space("NIL or a list")
    if cursor.try_nil():
        cursor.expect_end()
        return Id(None)
    pairs = cursor.expect_list_or_empty(_read_id_string, "field and value", 2 * MAX_ID_PAIRS)
    cursor.expect_end()
    fields = []
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        if name is None or len(name) > MAX_ID_FIELD or value is not None and len(value) > MAX_ID_VALUE:
            raise GrammarError("expected fields of at most 30 octets and values of at most 1024")
        fields.append((name, value))
    if len(pairs) % 2:
        raise GrammarError("expected a value for each field")
    return Id(tuple(fields))


def _read_id_string(cursor: Cursor) -> str | None:
    if cursor.try_nil():
        return None
    return cursor.expect_string("a string or NIL").decode("utf-8", "replace")


def read_compress(cursor: Cursor, situation: Situation) -> Compress:
    """COMPRESS DEFLATE."""
    cursor.expect_space("DEFLATE")
    if cursor.expect_word("DEFLATE") != b"DEFLATE":
        raise Refusal(bad("the only algorithm is DEFLATE"))
    cursor.expect_end()
    if situation.compressed:
        raise Refusal(no("compression is active already", "COMPRESSIONACTIVE"))
    if not situation.offer.compress:
        raise Refusal(no("compression is not offered here", "CANNOT"))
    return _COMPRESS
