"""What can go wrong, as types, and the exit codes by which commands say so.

Nothing here acts. Each class says whose fault it is; the text of an exception is a sentence that says what to do.

Diagnostics: raises nothing itself.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of mailsrv's commands (documented in mailsrv(8)); the numbers from 64 on are those of sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    SOFTWARE = 70
    TEMPFAIL = 75
    NOPERM = 77
    CONFIG = 78


class MailsrvError(Exception):
    """The root of every error that mailsrv raises on purpose."""


class GrammarError(MailsrvError):
    """A text from outside does not match its grammar (an address, a command argument, a record)."""


class ConfigError(MailsrvError):
    """The configuration is wrong; `complaints` holds every fault as one line `file:line: key: what is wrong, what is
    right`.
    """

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


class StorageError(MailsrvError):
    """The disk refused an operation that a message needs; the message is not accepted."""


class StorageFull(StorageError):
    """No room: too few bytes or inodes, or a quota of the file system (ENOSPC, EDQUOT)."""


class AlreadyThere(StorageError):
    """The name to be linked exists already (EEXIST)."""


class Busy(MailsrvError):
    """A bounded resource (a password check, a lock) was not free within its time; trying again later is right."""


class Refused(MailsrvError):
    """The operating system or the supervisor refused a request; the text says which and what to do."""
