"""Flags in an mbox: the header fields by which mail programs remember them, read, taken out, and written.

Status and X-Status hold letters (R read, O old; A answered, F flagged, D deleted, T draft), X-Keywords names, and
X-Mozilla-Status a number in hex. Such fields are the file's and not the message's. A Status with anything else in it
(bug trackers write one) is the message's own and stays.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Iterable

_FIELD = re.compile(
    rb"^(Status: *[RONUD]*|X-Status: *[AFDTRS]*|X-Mozilla-Status2?: *[0-9A-Fa-f]{4,8}"
    rb"|(?:X-Keywords|X-UID|X-IMAP|X-IMAPbase|X-Mozilla-Keys):[^\r\n]*)[ \t]*\r?\n((?:[ \t][^\r\n]*\r?\n)*)",
    re.MULTILINE | re.IGNORECASE,
)
_STATUS = {"R": "\\Seen"}
_X_STATUS = {"A": "\\Answered", "F": "\\Flagged", "D": "\\Deleted", "T": "\\Draft"}
_MOZILLA = {0x0001: "\\Seen", 0x0002: "\\Answered", 0x0004: "\\Flagged", 0x0008: "\\Deleted", 0x1000: "$Forwarded"}


def take_status(header: bytes) -> tuple[bytes, frozenset[str]]:
    """A message's header without such fields, and the flags (system flags and keywords by name) that they tell."""
    flags: set[str] = set()

    def take(match: re.Match[bytes]) -> bytes:
        name, _, value = match[1].decode("utf-8", "replace").partition(":")
        flags.update(_read(name.lower(), value + match[2].decode("utf-8", "replace")))
        return b""

    return _FIELD.sub(take, header), frozenset(flags)


def is_placeholder(header: bytes) -> bool:
    """Whether this is the first message that c-client and Dovecot keep in an mbox for themselves."""
    return b"FOLDER INTERNAL DATA" in header and re.search(rb"^X-IMAP(base)?:", header, re.MULTILINE) is not None


def format_status(flags: Iterable[str]) -> bytes:
    """The fields that tell these flags, as whole lines that end with LF."""
    names = set(flags)
    status = "RO" if "\\Seen" in names else "O"
    more = "".join(letter for letter, name in _X_STATUS.items() if name in names)
    keywords = " ".join(sorted(name for name in names if name[:1] != "\\"))
    lines = [f"Status: {status}"]
    lines += [f"X-Status: {more}"] if more else []
    lines += [f"X-Keywords: {keywords}"] if keywords else []
    return "".join(f"{line}\n" for line in lines).encode()


def _read(name: str, value: str) -> set[str]:
    if name in ("status", "x-status"):
        table = _STATUS if name == "status" else _X_STATUS
        return {table[letter] for letter in value.upper() if letter in table}
    if name == "x-mozilla-status":
        number = int(value.split()[0], 16)
        return {flag for bit, flag in _MOZILLA.items() if number & bit}
    if name in ("x-keywords", "x-mozilla-keys"):
        return {word for word in value.split() if word[:1] != "\\"}
    return set()
