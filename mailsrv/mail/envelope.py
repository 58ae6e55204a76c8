"""The envelope of a message: reverse-path, recipients and what the client asked for about reports (RFC 5321, RFC 3461).

These are the values that the protocol core makes, that policy decides on, and that the spool keeps. `None` as a
reverse-path is the null reverse-path `<>`.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass

from mailsrv.mail.address import Address

ReversePath = Address | None


@dataclass(frozen=True, slots=True)
class DsnRequest:
    """What RCPT asked of reports for this recipient (RFC 3461 section 4).

    `notify`: empty tuple when not given, else any of "NEVER", "SUCCESS", "FAILURE", "DELAY" (NEVER stands alone).
    `orcpt`: `addr-type;xtext-decoded address`, "" when not given (section 4.2).
    """

    notify: tuple[str, ...] = ()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of an envelope: its address, what to report, and how it came to be one.

    `address` is where the message goes now; `original` is the address that RCPT named when an alias changed it, else
    None. `account` is the local account when the address is (was) one of an account, "" for remote addresses.
    """

    address: Address
    dsn: DsnRequest = DsnRequest()
    original: Address | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class MailParameters:
    """The parameters of MAIL (RFC 1870, 6152, 6531, 3461, 4954); absent ones have their defaults."""

    size: int = 0
    body: str = "7BIT"  # 7BIT or 8BITMIME
    smtputf8: bool = False
    ret: str = ""  # "", FULL or HDRS
    envid: str = ""  # xtext-decoded


@dataclass(frozen=True, slots=True)
class Envelope:
    """All that belongs to a message beside its octets. `received` is seconds since the epoch.

    `id` is the queue ID; `account` the authenticated account ("" when there was none); `client` says where it came
    from, for people ("192.0.2.1" or "local"). `size` counts the message's octets as stored. `mailbox` is the mailbox
    of local accounts that it goes to, "" for INBOX.
    """

    id: str
    received: float
    reverse_path: ReversePath
    recipients: tuple[Recipient, ...]
    parameters: MailParameters = MailParameters()
    account: str = ""
    client: str = ""
    size: int = 0
    mailbox: str = ""
