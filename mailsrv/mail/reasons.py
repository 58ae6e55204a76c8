"""The X-Mailsrv-Reasons field: every rule that was looked at, what it looked at, and what came of it.

One rule a line: its name, `=`, its result as a token or quoted string, and its input as a comment. It is for people who
wonder why a message is where it is.

Diagnostics: raises nothing; whatever the input holds, it stands in the comment as text.
"""

from collections.abc import Sequence

from mailsrv.mail.structured import fold, write_comment, write_value

NAME = "X-Mailsrv-Reasons"


def reasons_field(rules: Sequence[tuple[str, str, str]]) -> bytes:
    """The whole field with its CRLF from (rule, input, result) each, folded, in ASCII; "none" without rules."""
    parts = [[f"{write_value(rule)}={write_value(result)}", *write_comment(given)] for rule, given, result in rules]
    for part in parts[:-1]:
        part[-1] += ";"
    return fold(NAME, parts or [["none"]])
