"""What a client is told when the store does not do what it asked: one row a reason, with its code (RFC 5530, RFC 9051
section 7.1).

Diagnostics: raises nothing.
"""

from mailsrv.errors import StorageError, StorageFull
from mailsrv.imap.answers import Status, no
from mailsrv.store.refusals import (
    MailboxGone,
    MailboxThere,
    MessageGone,
    NoMailbox,
    NoPermission,
    OverQuota,
    StoreRefusal,
    TooMany,
    UseTaken,
    WrongName,
)

_CODES: dict[type[StoreRefusal], str] = {
    NoMailbox: "NONEXISTENT",
    NoPermission: "NOPERM",
    MailboxThere: "ALREADYEXISTS",
    WrongName: "CANNOT",
    UseTaken: "USEATTR",
    MailboxGone: "NONEXISTENT",
    MessageGone: "EXPUNGEISSUED",
    OverQuota: "OVERQUOTA",
    TooMany: "LIMIT",
}


def refusal(error: StoreRefusal, try_create: bool = False) -> Status:
    """NO with the code of a reason. `try_create`: the command is one of those that tell a client to create the mailbox
    that is missing (APPEND, COPY, MOVE)."""
    # A reason may be a kind of another one: a search that costs too much is one of TooMany.
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), "")
    if try_create and type(error) is NoMailbox:
        code = "TRYCREATE"
    return no(str(error), code)


def failure(error: StorageError) -> Status:
    """NO for a disk or an index that refuses; what exactly stands in the log only."""
    if isinstance(error, StorageFull):
        return no("the disk of this server is full, try again later", "UNAVAILABLE")
    return no("the store does not answer as it should, try again later", "UNAVAILABLE")
