"""The macros of SPF records: their grammar, checked when a record is read, and their expansion (RFC 7208 section 7).

The grammar is checked before anything is expanded, so that what a sender chose (a local part, a HELO name) is only
ever data. All of it takes time in proportion to the text: a pattern that looks back would let a long record burn
the processor. Nothing is looked up here; the value of each letter comes from the caller.

Diagnostics: `check_domain_spec`, `check_macro_string` and `check_explanation` raise GrammarError with what is wrong;
expansion raises nothing.
"""

import re
from collections.abc import Callable
from urllib.parse import quote

from mailsrv.errors import GrammarError

MAX_NAME = 253  # characters of a domain name in a query, section 7.3

_EXPAND = r"%\{[slodiphcrtv][0-9]*r?[-.+,/_=]*\}|%[%_-]"
_MACRO_STRING = re.compile(rf"(?:[!-$&-~]++|{_EXPAND})*", re.IGNORECASE | re.ASCII)
_EXPLAIN_STRING = re.compile(rf"(?:[ -$&-~]++|{_EXPAND})*", re.IGNORECASE | re.ASCII)
_MACRO = re.compile(r"%(?:([%_-])|\{([a-z])([0-9]*)(r?)([^}]*)\})", re.IGNORECASE | re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_LITERALS = {"%": "%", "_": " ", "-": "%20"}


def check_macro_string(text: str) -> None:
    """The value of an unknown modifier (section 6, unknown-modifier)."""
    _check(_MACRO_STRING, text)


def check_domain_spec(text: str) -> None:
    """The target of a mechanism or modifier: a macro-string that ends in a macro or in the name of a top domain."""
    if not text:
        raise GrammarError("no domain")
    macros = _check(_MACRO_STRING, text)
    if any(macro[2] and macro[2] in "crtCRT" for macro in macros):
        raise GrammarError("the macros c, r and t are for explanations alone")
    if macros and macros[-1].end() == len(text):
        return
    _, dot, top = text.removesuffix(".").rpartition(".")
    if not dot or not _LABEL.fullmatch(top) or top.isdigit():
        raise GrammarError("the domain does not end in the name of a top domain")


def check_explanation(text: str) -> None:
    """An explanation as it stands in the DNS (section 6.2, explain-string)."""
    _check(_EXPLAIN_STRING, text)


def names_local_part(text: str) -> bool:
    """Whether a domain-spec has the macro s or l, which nothing matches if the local part is not ASCII (RFC 8616
    section 4)."""
    return any(match[2] and match[2] in "slSL" for match in _MACRO.finditer(text))


def _check(grammar: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The macros of a text that matches the grammar."""
    if not grammar.fullmatch(text):
        raise GrammarError("a macro that is none, or a character that may not be there")
    macros = list(_MACRO.finditer(text)) if "%" in text else []
    if any(match[3] and not match[3].strip("0") for match in macros):
        raise GrammarError("a macro of the last 0 parts")
    return macros


def expand(text: str, value: Callable[[str], str]) -> str:
    """`text`, checked before, with its macros replaced; `value` gives what a letter (lower case) stands for."""
    if "%" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        literal, letter, digits, reverse, delimiters = match.groups()
        if literal:
            return _LITERALS[literal]
        lower = letter.lower()
        expanded = _transform(value(lower), digits, bool(reverse), delimiters)
        return expanded if letter == lower else quote(expanded, safe="")

    return _MACRO.sub(replace, text)


def expand_name(text: str, value: Callable[[str], str]) -> str:
    """A domain-spec as a name to ask for: without its final dot, and cut at its left to what a name can hold."""
    name = expand(text, value).removesuffix(".")
    if len(name) > MAX_NAME:
        cut = name.find(".", len(name) - MAX_NAME - 1)
        name = name[cut + 1 :]
    return name


def _transform(value: str, digits: str, reverse: bool, delimiters: str) -> str:
    if not (digits or reverse or delimiters):
        return value
    for delimiter in delimiters:
        value = value.replace(delimiter, "\0")
    parts = value.split("\0" if delimiters else ".")
    if reverse:
        parts.reverse()
    if digits and len(digits.lstrip("0")) < 4:  # a name has 127 labels at most: more digits mean all of them
        parts = parts[-int(digits[-4:]) :]
    return ".".join(parts)
