"""Trace fields: Received and Return-Path (RFC 5321 section 4.4, protocol names of RFC 3848 and RFC 6531 section 4.3).

A Received field is made in two steps, because all but its id, recipient and date stays the same for a session:
`received_beginning` once, `received_field` per message. What a client said is put in only where the grammar allows it;
anything else goes into a comment, cleaned. Nothing is read from a message here.

Diagnostics: raises nothing.
"""

import ipaddress
import re

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, check_literal, domain_to_ascii

FOLD = 78  # RFC 5322 section 2.1.1: lines should have at most 78 characters
_ID_ROOM = 18  # a message's id and the semicolon behind it
_NOT_IN_COMMENT = re.compile(r"[^A-Za-z0-9._: -]")
_COMMENT_LIMIT = 64


def protocol(extended: bool, tls: bool, authenticated: bool, smtputf8: bool, lmtp: bool) -> str:
    """The word for the `with` clause: SMTP, ESMTP, ESMTPSA, LMTPS, UTF8SMTPS and so on.

    HELO (`extended` False) knows neither TLS nor AUTH, so that it is always plain SMTP.
    """
    if lmtp:
        name = "UTF8LMTP" if smtputf8 else "LMTP"
    elif not extended:
        return "SMTP"
    else:
        name = "UTF8SMTP" if smtputf8 else "ESMTP"
    return name + ("S" if tls else "") + ("A" if authenticated else "")


def address_literal(client: str) -> str:
    """The client's IP address as address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`), "" when it is no IP address."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return f"[{address.ipv4_mapped}]" if address.ipv4_mapped else f"[IPv6:{address}]"
    return f"[{address}]"


def from_clause(helo: str, client: str) -> list[str]:
    """The words of the `from` clause: what the client called itself, then where it really is (TCP-info).

    A name that is neither domain nor address literal cannot stand there; the client's address takes its place and the
    name becomes a comment, cleaned to characters that cannot end it.
    """
    literal = address_literal(client)
    try:
        if helo.startswith("["):
            check_literal(helo)
            name = helo if literal else ""  # section 4.4: an address literal never stands alone
        else:
            name = domain_to_ascii(helo)
            name = helo if helo.isascii() else name
    except GrammarError:
        name = ""
    words = [name or literal or "localhost"]
    if literal:
        words.append(f"({literal})")
    if not name and helo:
        words.append(f"(HELO {_NOT_IN_COMMENT.sub('?', helo[:_COMMENT_LIMIT])})")
    return words


def received_beginning(source: list[str], by: str, with_: str, tls: str) -> bytes:
    """A Received field up to and including `id `: `source` from `from_clause`, `by` our host name, `with_` the
    protocol, `tls` version and cipher or "". Folded before column 78 where a space allows it."""
    text = _fold("Received: from " + source[0], source[1:])
    rest = [f"with {with_}"]
    if tls:
        rest.append(f"({_NOT_IN_COMMENT.sub('?', tls)})")
    by_lines = _fold(f"\tby {by}", rest)
    last = len(by_lines) - by_lines.rfind("\t")
    space = " " if last + _ID_ROOM <= FOLD else "\r\n\t"
    return f"{text}\r\n{by_lines}{space}id ".encode("ascii", "replace")


def received_field(beginning: bytes, id: str, recipient: Address | None, smtputf8: bool, date: str) -> bytes:
    """The whole field with its CRLF. `recipient` is the only one of the message as RCPT named it, else None: to name
    one of several, or several, would tell what blind copies hide (section 7.2). Without SMTPUTF8 it stays ASCII."""
    if recipient is not None and recipient.domain:
        address = str(recipient)
        if smtputf8 or address.isascii():
            if beginning.endswith(b"\tid ") and len(address) < FOLD - _ID_ROOM - 12:
                return beginning + f"{id} for <{address}>;\r\n\t{date}\r\n".encode()
            gap = " " if len(address) + len(date) < FOLD - 10 else "\r\n\t"
            return beginning + f"{id}\r\n\tfor <{address}>;{gap}{date}\r\n".encode()
    return beginning + f"{id};\r\n\t{date}\r\n".encode()


def return_path_field(reverse_path: Address | None) -> bytes:
    """The Return-Path field of final delivery, with its CRLF; `<>` for the null reverse-path."""
    return b"Return-Path: <>\r\n" if reverse_path is None else b"Return-Path: <%b>\r\n" % str(reverse_path).encode()


def _fold(first: str, words: list[str]) -> str:
    """Join words by spaces; where a line would pass column 78, fold before the word."""
    lines = [first]
    for word in words:
        if len(lines[-1]) + 1 + len(word) <= FOLD:
            lines[-1] += " " + word
        else:
            lines.append("\t" + word)
    return "\r\n".join(lines)
