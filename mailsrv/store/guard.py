"""The net under what is read of one message: whatever its octets bring out in the code that reads them costs what was
to be read, never the command or the work for others.

It is the only one for that: who reads texts, previews and rows of messages (search, filling, FETCH) goes through here.

Diagnostics: what is no error of ours (MailsrvError) passes through; anything else is a bug, and told.
"""

from collections.abc import Callable
from typing import TypeVar

from mailsrv.errors import MailsrvError

T = TypeVar("T")
Tell = Callable[[Exception], None]


def read_safely(read: Callable[[], T], otherwise: T, tell: Tell) -> T:
    """What `read` gives, or `otherwise` when it fails by a bug, which `tell` is told."""
    try:
        return read()
    except MailsrvError:
        raise
    except Exception as error:
        tell(error)
        return otherwise


def raise_it(error: Exception) -> None:
    """For who wants no net."""
    raise error
