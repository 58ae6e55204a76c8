"""Arguments of the commands on rights and quotas (RFC 4314, RFC 9208).

Diagnostics: readers raise GrammarError with what was expected.
"""

import re
from dataclasses import dataclass
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.imap.grammar import read_mailbox
from mailsrv.imap.mailbox_arguments import read_one_mailbox
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import ATOM, Cursor

_RIGHTS = re.compile(r"[a-z0-9]*")  # RFC 4314 section 2: small letters and digits only


class Modification(Enum):
    """What SETACL does with the rights that it names."""

    REPLACE = ""
    ADD = "+"
    REMOVE = "-"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class SetAcl:
    """SETACL; `rights` are letters as sent, each once. An identifier with a leading `-` is of negative rights."""

    mailbox: str
    identifier: str
    modification: Modification
    rights: str


@dataclass(frozen=True, slots=True)
class DeleteAcl:
    """DELETEACL."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class GetAcl:
    """GETACL."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class ListRights:
    """LISTRIGHTS."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights:
    """MYRIGHTS."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class GetQuota:
    """GETQUOTA of a quota root."""

    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """GETQUOTAROOT of a mailbox."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """SETQUOTA: (resource in capitals, limit); a resource that is not named has no limit. STORAGE counts KiB."""

    root: str
    limits: tuple[tuple[str, int], ...]


def read_set_acl(cursor: Cursor, situation: Situation) -> SetAcl:
    """SETACL mailbox identifier rights."""
    mailbox, identifier = _read_mailbox_and_identifier(cursor)
    cursor.expect_space("rights")
    text = cursor.expect_text("rights")
    cursor.expect_end()
    modification = Modification(text[:1]) if text[:1] in ("+", "-") else Modification.REPLACE
    rights = text[len(modification.value) :]
    if not _RIGHTS.fullmatch(rights):
        raise GrammarError("expected rights as small letters")
    return SetAcl(mailbox, identifier, modification, "".join(dict.fromkeys(rights)))


def read_delete_acl(cursor: Cursor, situation: Situation) -> DeleteAcl:
    """DELETEACL mailbox identifier."""
    mailbox, identifier = _read_mailbox_and_identifier(cursor)
    cursor.expect_end()
    return DeleteAcl(mailbox, identifier)


def read_list_rights(cursor: Cursor, situation: Situation) -> ListRights:
    """LISTRIGHTS mailbox identifier."""
    mailbox, identifier = _read_mailbox_and_identifier(cursor)
    cursor.expect_end()
    return ListRights(mailbox, identifier)


def _read_mailbox_and_identifier(cursor: Cursor) -> tuple[str, str]:
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_space("an identifier")
    return mailbox, cursor.expect_text("an identifier")


def read_get_acl(cursor: Cursor, situation: Situation) -> GetAcl:
    """GETACL mailbox."""
    return GetAcl(read_one_mailbox(cursor))


def read_my_rights(cursor: Cursor, situation: Situation) -> MyRights:
    """MYRIGHTS mailbox."""
    return MyRights(read_one_mailbox(cursor))


def read_get_quota(cursor: Cursor, situation: Situation) -> GetQuota:
    """GETQUOTA root."""
    cursor.expect_space("a quota root")
    root = cursor.expect_text("a quota root")
    cursor.expect_end()
    return GetQuota(root)


def read_get_quota_root(cursor: Cursor, situation: Situation) -> GetQuotaRoot:
    """GETQUOTAROOT mailbox."""
    return GetQuotaRoot(read_one_mailbox(cursor))


def read_set_quota(cursor: Cursor, situation: Situation) -> SetQuota:
    """SETQUOTA root (resource limit ...)."""
    cursor.expect_space("a quota root")
    root = cursor.expect_text("a quota root")
    cursor.expect_space("a list of limits")
    limits = cursor.expect_list_or_empty(_read_limit, "limits", 20)
    cursor.expect_end()
    return SetQuota(root, tuple(dict(limits).items()))


def _read_limit(cursor: Cursor) -> tuple[str, int]:
    resource = cursor.expect_pattern(ATOM, "a resource like STORAGE").upper().decode()
    cursor.expect_space("a limit")
    return resource, cursor.expect_number("a limit")
