"""What EHLO and LHLO offer, and the parameters of MAIL and RCPT that come with it, each in a table.

PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), CHUNKING (RFC 3030),
ENHANCEDSTATUSCODES (RFC 2034), DSN (RFC 3461, RFC 6533), LIMITS (RFC 9422), STARTTLS (RFC 3207), AUTH (RFC 4954).
BINARYMIME is never offered: a message here has lines.

Diagnostics: raises Refusal with the reply for the client.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import DsnRequest, MailParameters
from mailsrv.smtp import grammar, replies
from mailsrv.smtp.events import Limits, Offer
from mailsrv.smtp.replies import Refusal

_MAX_LIMIT = 999_999  # a value of LIMITS has at most six digits, RFC 9422 section 3
_SIZE = re.compile(r"[0-9]{1,20}")
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})

Field = tuple[str, object] | None  # a field of MailParameters or DsnRequest and its value; None: nothing to keep


@lru_cache(maxsize=16)
def offered(limits: Limits, offer: Offer) -> tuple[str, ...]:
    """The lines behind the first in the answer to EHLO and LHLO."""
    lines = [
        "PIPELINING",
        f"SIZE {limits.message_size}",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "ENHANCEDSTATUSCODES",
        "DSN",
        f"LIMITS MAILMAX={min(limits.messages, _MAX_LIMIT)} RCPTMAX={min(limits.recipients, _MAX_LIMIT)}",
    ]
    if offer.starttls:
        lines.append("STARTTLS")
    if offer.mechanisms:
        lines.append("AUTH " + " ".join(offer.mechanisms))
    return tuple(lines)


def _read_size(value: str) -> Field:
    if not _SIZE.fullmatch(value):
        raise GrammarError("not a number")
    return "size", int(value)


def _read_body(value: str) -> Field:
    if value.upper() == "BINARYMIME":
        raise Refusal(replies.unknown_parameter("BODY=BINARYMIME"))
    return "body", _choose(value, "7BIT", "8BITMIME")


def _read_ret(value: str) -> Field:
    return "ret", _choose(value, "FULL", "HDRS")


def _read_envid(value: str) -> Field:
    if len(value) > grammar.MAX_ENVID:
        raise GrammarError("too long")
    return "envid", grammar.read_xtext(value)


def _read_auth(value: str) -> Field:
    """Who submitted the message elsewhere: nobody is trusted to say that, so it is read and forgotten (RFC 4954 section
    5)."""
    if value != "<>":
        parse_address(grammar.read_xtext(value))
    return None


def _read_notify(value: str) -> Field:
    words = tuple(dict.fromkeys(grammar.upper(value).split(",")))
    if words != ("NEVER",) and not _NOTIFY.issuperset(words):
        raise GrammarError("not a list of conditions")
    return "notify", words


def _read_orcpt(value: str) -> Field:
    return "orcpt", grammar.read_orcpt(value)


def _choose(value: str, *words: str) -> str:
    word = grammar.upper(value)
    if word not in words:
        raise GrammarError("not one of the words")
    return word


# Keyword -> reader of its value; None: the keyword takes no value and sets the field of its name.
_Readers = Mapping[str, Callable[[str], Field] | None]
_OF_MAIL: _Readers = {
    "SIZE": _read_size,
    "BODY": _read_body,
    "SMTPUTF8": None,
    "RET": _read_ret,
    "ENVID": _read_envid,
    "AUTH": _read_auth,
}
_OF_RCPT: _Readers = {"NOTIFY": _read_notify, "ORCPT": _read_orcpt}

_NO_DSN = DsnRequest()
_NO_PARAMETERS = MailParameters()


def read_mail_parameters(text: str) -> MailParameters:
    """The parameters of MAIL. Raises Refusal."""
    return _mail_parameters(text) if text else _NO_PARAMETERS


def read_rcpt_parameters(text: str) -> DsnRequest:
    """The parameters of RCPT. Raises Refusal."""
    return DsnRequest(**_read_fields(text, _OF_RCPT)) if text else _NO_DSN  # type: ignore[arg-type]


@lru_cache(maxsize=128)
def _mail_parameters(text: str) -> MailParameters:
    return MailParameters(**_read_fields(text, _OF_MAIL))  # type: ignore[arg-type]


def _read_fields(text: str, readers: _Readers) -> dict[str, object]:
    """Read parameters by a table of readers. Unknown ones are refused before wrong ones are looked at."""
    try:
        parameters = grammar.read_parameters(text)
    except GrammarError as error:
        raise Refusal(replies.bad_parameter(str(error))) from None
    fields: dict[str, object] = {}
    for keyword in parameters:
        if keyword not in readers:
            raise Refusal(replies.unknown_parameter(keyword))
    for keyword, value in parameters.items():
        reader = readers[keyword]
        if (reader is None) != (value is None):
            raise Refusal(replies.bad_parameter(keyword))
        if reader is None or value is None:
            fields[keyword.lower()] = True
            continue
        try:
            field = reader(value)
        except Refusal:
            raise
        except GrammarError:
            raise Refusal(replies.bad_parameter(keyword)) from None
        if field is not None:
            fields[field[0]] = field[1]
    return fields
