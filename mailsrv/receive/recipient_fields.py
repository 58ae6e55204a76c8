"""The recipients that a message's own header names (`sendmail -t`): To, Cc and Bcc, or the Resent ones, if any.

Lenient where mail/mailboxes is strict: local programs write `To: root`, and nothing is decided by what is found here
but where their own message goes. Each address is checked afterwards, by who uses it.

Diagnostics: raises nothing; what is no address is given as it stands.
"""

import re

from mailsrv.mail.header import Header, unfold

_FIELDS = (b"to", b"cc", b"bcc")
_RESENT = (b"resent-to", b"resent-cc", b"resent-bcc")
# Quoted string, comment, address in angle brackets, literal, separator, text; a sign that fits nowhere stands alone.
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)|<[^<>]*>|\[[^\]]*\]|[,;:]|[^"()<>\[\],;:]+|.', re.DOTALL
)
_ROUTE = re.compile(r"@[^:]*:")  # an obsolete source route (RFC 5322 section 4.4)


def find_recipients(header: Header) -> list[str]:
    """The addresses as they stand there, without names and comments, in order."""
    names = _RESENT if any(header.has(name) for name in _RESENT) else _FIELDS
    return [
        address for name in names for value in header.values(name)
        for address in split_addresses(unfold(value).decode("utf-8", "replace"))
    ]  # fmt: skip


def split_addresses(text: str) -> list[str]:
    """The addresses of one list."""
    found = []
    words, angle = "", ""
    for token in [*_TOKEN.findall(text), ","]:
        if token in (",", ";"):
            if address := angle or words.strip():
                found.append(address)
            words, angle = "", ""
        elif token == ":":
            words = ""  # what stood before was the name of a group
        elif token[0] == "<" and len(token) > 1:
            angle = _ROUTE.sub("", token[1:-1].strip(), count=1)
        elif token[0] != "(" or len(token) == 1:
            words += token
    return found
