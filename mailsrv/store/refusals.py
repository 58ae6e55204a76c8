"""Why the store does not do what a reader asks: one class a reason, so that IMAP answers with a table (RFC 5530 codes).

Nothing here acts. These are the client's business; a disk that refuses is StorageError as everywhere.

Diagnostics: raises nothing itself; the text of each is a sentence for the client.
"""

from mailsrv.errors import MailsrvError


class StoreRefusal(MailsrvError):
    """The root of all that follow: nothing was changed."""


class NoMailbox(StoreRefusal):
    """There is no mailbox of this name (NONEXISTENT, TRYCREATE)."""


class NoPermission(NoMailbox):
    """There is one, and another account's, who does not allow this (NOPERM). Whoever passes over mailboxes that are not
    there passes over these too."""


class MailboxThere(StoreRefusal):
    """A mailbox of this name exists (ALREADYEXISTS)."""


class WrongName(StoreRefusal):
    """No mailbox can have this name, or this one cannot be deleted or renamed (CANNOT)."""


class UseTaken(StoreRefusal):
    """Another mailbox has this special use, or there is no such use (USEATTR)."""


class MailboxGone(StoreRefusal):
    """An open mailbox was deleted, or its UIDs are no longer valid: the session that has it must end it."""


class MessageGone(StoreRefusal):
    """The message was expunged, perhaps by somebody else (EXPUNGEISSUED)."""


class OverQuota(StoreRefusal):
    """The account has no room for it (OVERQUOTA)."""


class TooMany(StoreRefusal):
    """Too many keywords in the mailbox, mailboxes in the account, or UIDs given out (LIMIT)."""
