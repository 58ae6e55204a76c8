"""Whole commands read as the core reads them, for the tests of arguments: `read` gives what the row's reader gives."""

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal
from mailsrv.imap.commands import COMMANDS
from mailsrv.imap.situation import Limits, Offer, Situation, State
from mailsrv.imap.tokens import Cursor


def make_situation(*enabled: str, offer: Offer | None = None, tls: bool = True) -> Situation:
    """A session with a selected mailbox."""
    offer = offer or Offer(login=True, mechanisms=("PLAIN",), compress=True)
    return Situation(Limits(), offer, tls, State.SELECTED, enabled=set(enabled))


def read(name: str, arguments: bytes = b"", *enabled: str, situation: Situation | None = None) -> object:
    """The arguments of a command, where `arguments` begin behind the space that follows its name."""
    situation = situation or make_situation(*enabled)
    octets = name.encode() + (b" " + arguments if arguments else b"")
    return COMMANDS[name.encode()].read(Cursor(octets, len(name), situation.utf8), situation)


def complain(name: str, arguments: bytes = b"", *enabled: str, situation: Situation | None = None) -> str:
    """What the client is told of a command that is wrong: the text, with the code in brackets before it."""
    try:
        found = read(name, arguments, *enabled, situation=situation)
    except Refusal as refusal:
        code = f"[{refusal.status.code}] " if refusal.status.code else ""
        return f"{refusal.status.word.name} {code}{refusal.status.text}"
    except GrammarError as error:
        return str(error)
    raise AssertionError(f"{name} {arguments!r} was read as {found!r}")
