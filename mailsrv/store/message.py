"""The name of a message in a Maildir, and what can be read from such a name.

A message is its base name: the part before `:2,`, unique in its account, made once from the message's ID, so that a
delivery repeated after a crash finds what it delivered before.

Diagnostics: `base_name` raises GrammarError for an ID that is none; the readers raise nothing.
"""

import re

from mailsrv.errors import GrammarError

FLAGS_MARK = ":2,"

_SIZE = re.compile(r",S=(\d{1,18})(?:[,:]|$)", re.ASCII)
# What a host name must not bring into a file name: the separators of Maildir.
_ESCAPES = str.maketrans({"/": "\\057", ":": "\\072", ",": "\\054"})


def base_name(seconds: float, identifier: str, size: int, hostname: str) -> str:
    """`<seconds>.<ID>.<hostname>,S=<size>`: seconds since the epoch from the ID, octets of the file."""
    if not identifier.isalnum():
        raise GrammarError(f"{identifier!r} cannot be part of a file name")
    return f"{int(seconds)}.{identifier}.{hostname.translate(_ESCAPES)},S={size}"


def size_of(name: str) -> int | None:
    """The octets that a file's name tells; None when it does not."""
    match = _SIZE.search(name)
    return int(match[1]) if match else None


def base_of(name: str) -> str:
    """The base name of a file in new/ or cur/: without the flags."""
    return name.partition(FLAGS_MARK)[0]
