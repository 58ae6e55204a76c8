"""SASLprep: the one form of names and passwords before they are compared, hashed or made into keys (RFC 4013, RFC
3454).

ASCII without control characters stays as it is. The tables are those of the standard library's stringprep.

Diagnostics: raises GrammarError for text that no name or password may hold.
"""

import stringprep
import unicodedata

from mailsrv.errors import GrammarError

# RFC 4013 section 2.3; A.1 (unassigned) because what is prepared here may be stored (section 2.5).
_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepare(text: str) -> str:
    """Prepare a name or a password. Raises GrammarError."""
    if text.isascii():
        if not text.isprintable():
            raise GrammarError("a control character")
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(prohibited(character) for character in prepared for prohibited in _PROHIBITED):
        raise GrammarError("a character that names and passwords cannot have")
    _check_direction(prepared)
    return prepared


def _check_direction(text: str) -> None:
    """RFC 3454 section 6: text that runs from right to left does so from end to end."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    ends = text[0] + text[-1]
    if any(map(stringprep.in_table_d2, text)) or not all(map(stringprep.in_table_d1, ends)):
        raise GrammarError("a mixture of directions")
