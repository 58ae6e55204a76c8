"""One account as IMAP sees it: its mailboxes, by name. What is in one of them is OpenMailbox's.

Cheap to make; threads may share it, and several processes may have readers of one account at once. The names are in the
file `mailboxes` (store/mailboxes), everything else is in the index (store/index). Opening a mailbox or asking for its
status adopts what was delivered since the last look.

Diagnostics: the reasons of mailsrv.store.refusals (nothing was changed then), and StorageError when the disk or the
index refuses.
"""

from mailsrv.store.opened import OpenMailbox
from mailsrv.store.values import MailboxInfo, MailboxStatus, Usage


class Reader:
    """`account`: its name. `limits`: what it may store, 0 for no limit; may be set anew when the configuration is."""

    account: str
    limits: Usage

    def mailboxes(self) -> list[MailboxInfo]:
        """Every mailbox and every name that is only subscribed, sorted by name, INBOX first."""
        raise NotImplementedError

    def find(self, name: str) -> MailboxInfo:
        """One mailbox; raises NoMailbox. INBOX in any letters."""
        raise NotImplementedError

    def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """Make a mailbox and those above it that are missing; raises MailboxThere, WrongName, UseTaken, TooMany."""
        raise NotImplementedError

    def delete(self, name: str) -> None:
        """Delete a mailbox, not those below it. Raises NoMailbox; WrongName for INBOX."""
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """Give a mailbox and all below it another name. INBOX: its messages move to a new mailbox, and it stays, as do
        those below it. Raises NoMailbox, MailboxThere, WrongName."""
        raise NotImplementedError

    def subscribe(self, name: str, on: bool = True) -> None:
        """Subscribe to a name, whether there is such a mailbox or not, or end that (also of a name that is not)."""
        raise NotImplementedError

    def set_special_use(self, name: str, special_use: str) -> None:
        """Give a mailbox a special use, or none with ""; raises NoMailbox, UseTaken."""
        raise NotImplementedError

    def status(self, name: str) -> MailboxStatus:
        """The counters of a mailbox, new messages included; raises NoMailbox."""
        raise NotImplementedError

    def open(self, name: str) -> OpenMailbox:
        """Look into a mailbox, new messages included; raises NoMailbox. Costs nothing to keep and need not be closed.
        """
        raise NotImplementedError

    def usage(self) -> Usage:
        """What the account stores."""
        raise NotImplementedError

    def tidy(self, most: int = 1000) -> bool:
        """Do what can wait, about `most` files of each kind: write flags back to the names, remove files of what was
        expunged and deleted. For idle moments; True when there is more to do."""
        raise NotImplementedError
