"""What `next_hop` of a [[routes]] table says: where mail is handed over, as a value.

    direct                  as without a route: the MX hosts of the recipient's domain
    mx:example.org[:port]   the MX hosts of another domain
    smtp:host[:port]        one host, by its addresses (A and AAAA); no MX lookup
    lmtp:host:port          one host that speaks LMTP (RFC 2033)
    lmtp:/path              a unix socket behind which LMTP is spoken

An IP address stands for a host, IPv6 in brackets. Nothing is looked up here.

Diagnostics: `parse_next_hop` raises GrammarError with a sentence for the operator.
"""

import ipaddress
import os
import re
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_to_ascii

FORMS = "direct, smtp:host:port, mx:domain, lmtp:host:port or lmtp:/path"
SOCKET_PATH = 107  # octets of a unix socket's path with its final NUL less one, unix(7)

_WITH_PORT = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class HopAddress:
    """A next hop as the configuration names it. `word`: direct, mx, smtp or lmtp; `host` a domain in lower-case
    A-labels or an IP address without brackets; `port` 0 when none is given; `path` of a unix socket instead of both.
    """

    word: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address, so that nothing is looked up."""
        return _is_ip(self.host)


def parse_next_hop(text: str) -> HopAddress:
    """Read one of the forms above; raises GrammarError."""
    if text == "direct":
        return HopAddress("direct")
    word, colon, rest = text.partition(":")
    if not colon or word not in ("smtp", "mx", "lmtp"):
        raise GrammarError(f"is not known, must be {FORMS}")
    if word == "lmtp" and rest.startswith("/"):
        if len(os.fsencode(rest)) > SOCKET_PATH or "\0" in rest:
            raise GrammarError(f"is no path of a unix socket, at most {SOCKET_PATH} octets without NUL")
        return HopAddress("lmtp", path=rest)
    found = _WITH_PORT.fullmatch(rest)
    if found is None:
        raise GrammarError(f"is no host and port, must be like {word}:mail.example.org:25 or {word}:[2001:db8::1]:25")
    port = int(found["port"]) if found["port"] else 0
    if found["port"] and not 1 <= port <= 65535:
        raise GrammarError(f"has the port {found['port']}, must be from 1 to 65535")
    host = _read_host(found["bracketed"] or found["plain"], bracketed=found["bracketed"] is not None)
    if word == "mx" and _is_ip(host):
        raise GrammarError("asks for the MX hosts of an IP address, must be a domain or begin with smtp:")
    if word == "lmtp" and port in (0, 25):
        raise GrammarError("needs a port for LMTP, which must not be 25 (RFC 2033 section 5), such as 24")
    return HopAddress(word, host, port)


def _read_host(text: str, bracketed: bool) -> str:
    """A host name, IPv4 with or without brackets, IPv6 with them."""
    if _is_ip(text):
        return str(ipaddress.ip_address(text))
    if not bracketed:
        try:
            host = domain_to_ascii(text)
        except GrammarError as error:
            raise GrammarError(f"has no host name: {error}") from None
        if not host.rpartition(".")[2].isdigit():
            return host
    raise GrammarError(f"has {text} where an IP address should be")


def _is_ip(text: str) -> bool:
    if "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
