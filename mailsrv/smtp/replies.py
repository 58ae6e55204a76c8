"""The replies that the protocol core gives of its own accord, in one table (RFC 5321 section 4.2.2, RFC 3463, RFC
5248).

What policy answers stands in the rooms that decide it. Nothing is sent here.

Diagnostics: raises nothing; `Refusal` is raised by the readers of commands and carries one of these replies.
"""

from mailsrv.errors import GrammarError
from mailsrv.mail.reply import Reply


class Refusal(GrammarError):
    """A command whose argument is wrong; `reply` is the answer. Never leaves the core."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


# What the client did is fine.
NOOP = Reply(250, "2.0.0", "ok")
HELP = Reply(214, "2.0.0", "the commands are those of RFC 5321; ask the postmaster about the rest")
VRFY = Reply(252, "2.1.5", "not told here; send mail and see")

# Lines that are no command.
UNKNOWN = Reply(500, "5.5.2", "no such command")
EMPTY = Reply(500, "5.5.2", "an empty line is no command")
NOT_UTF8 = Reply(500, "5.5.2", "the command is not UTF-8")
LINE_TOO_LONG = Reply(500, "5.5.2", "the line is too long")
HTTP = Reply(500, "5.5.2", "this is a mail server, closing connection")

# Wrong time.
SAY_EHLO = Reply(503, "5.5.1", "send EHLO first")
SAY_LHLO = Reply(503, "5.5.1", "send LHLO first")
NEEDS_EHLO = Reply(503, "5.5.1", "this belongs to an extension: send EHLO, not HELO")
NO_RECIPIENTS = Reply(554, "5.5.1", "no valid recipients")
IN_TLS = Reply(503, "5.5.1", "TLS is active already")
AUTHENTICATED = Reply(503, "5.5.1", "already authenticated")

# Not here.
NO_EXPN = Reply(502, "5.5.1", "lists are not expanded here")
NO_TLS = Reply(454, "4.7.0", "TLS is not available")
NO_AUTH = Reply(502, "5.5.1", "there is no authentication here")
AUTH_NEEDS_TLS = Reply(538, "5.7.11", "encryption is required for authentication: send STARTTLS first")
TLS_REQUIRED = Reply(530, "5.7.0", "send STARTTLS first")
AUTH_REQUIRED = Reply(530, "5.7.0", "authentication is required")
NO_MECHANISM = Reply(504, "5.5.4", "this mechanism is not offered")

# Wrong arguments. Replies to HELO, EHLO and LHLO carry no enhanced code, RFC 2034 section 4.
HELLO_NAME = Reply(501, "", "give one argument: your domain name or address literal")
NO_ARGUMENT = Reply(501, "5.5.4", "this command takes no argument")
NEEDS_ARGUMENT = Reply(501, "5.5.4", "this command needs an argument")
MAIL_SYNTAX = Reply(501, "5.5.4", "the form is MAIL FROM:<address>")
RCPT_SYNTAX = Reply(501, "5.5.4", "the form is RCPT TO:<address>")
BDAT_SYNTAX = Reply(501, "5.5.4", "the form is BDAT size [LAST]")
BDAT_SIZE = Reply(501, "5.5.4", "the form is BDAT size [LAST]: without the size nothing can be read, closing")
AUTH_SYNTAX = Reply(501, "5.5.4", "the form is AUTH mechanism [initial response]")
NEEDS_SMTPUTF8 = Reply(553, "5.6.7", "an address that is not ASCII needs the parameter SMTPUTF8")
AUTH_BASE64 = Reply(501, "5.5.2", "this is not base64")
AUTH_CANCELLED = Reply(501, "5.7.0", "authentication cancelled")
AUTH_TOO_LONG = Reply(500, "5.5.6", "the response is too long")

# Too much.
TOO_BIG = Reply(552, "5.3.4", "the message is too big")
TEXT_LINE = Reply(554, "5.6.0", "the message has a line that is too long")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "too many recipients: send the message again to the others")
TOO_MANY_MESSAGES = Reply(421, "4.7.0", "enough messages in this session: connect again")
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "enough commands in this session: connect again")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "too many errors, closing connection")
TOO_MUCH_JUNK = Reply(421, "4.7.0", "too many commands that do nothing, closing connection")

# Framing faults by kind: final, because behind them client and server may disagree about what is a command.
FRAMING = {
    "bare CR": Reply(554, "5.5.2", "a CR without LF is not allowed, closing connection"),
    "bare LF": Reply(554, "5.5.2", "an LF without CR is not allowed, closing connection"),
    "NUL": Reply(554, "5.5.2", "a NUL is not allowed, closing connection"),
    "endless line": Reply(554, "5.5.2", "the line does not end, closing connection"),
}


def chunk_taken(size: int) -> Reply:
    """The answer to a chunk that is not the last (RFC 3030 section 2)."""
    return Reply(250, "2.0.0", f"{size} octets received")


def bad_parameter(keyword: str) -> Reply:
    """A parameter that is known, given wrongly or twice."""
    return Reply(501, "5.5.4", f"the parameter {keyword} is wrong or given twice")


def unknown_parameter(keyword: str) -> Reply:
    """A parameter that is not known (RFC 5321 section 4.1.1.11)."""
    return Reply(555, "5.5.4", f"the parameter {keyword[:40]} is not known")


def bad_reverse_path(reason: str) -> Reply:
    """The argument of MAIL is in brackets but no address."""
    return Reply(553, "5.1.7", f"not a reverse-path: {reason}")


def bad_forward_path(reason: str) -> Reply:
    """The argument of RCPT is in brackets but no address."""
    return Reply(553, "5.1.3", f"not a forward-path: {reason}")
