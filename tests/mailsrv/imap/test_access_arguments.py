"""Rights and quotas."""

import pytest

from mailsrv.imap.access_arguments import (
    DeleteAcl,
    GetAcl,
    GetQuota,
    GetQuotaRoot,
    ListRights,
    Modification,
    MyRights,
    SetAcl,
    SetQuota,
)
from tests.mailsrv.imap.parsing import complain, read


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("SETACL", b"INBOX/Drafts John +lrQswicda".replace(b"Q", b""),
         SetAcl("INBOX/Drafts", "John", Modification.ADD, "lrswicda")),
        ("SETACL", b'x -joe "-w"', SetAcl("x", "-joe", Modification.REMOVE, "w")),
        ("SETACL", b'x anyone ""', SetAcl("x", "anyone", Modification.REPLACE, "")),
        ("SETACL", b"x a lrl", SetAcl("x", "a", Modification.REPLACE, "lr")),
        ("DELETEACL", b"INBOX Fred", DeleteAcl("INBOX", "Fred")),
        ("GETACL", b"inbox", GetAcl("INBOX")),
        ("LISTRIGHTS", b"~/Mail/saved smith", ListRights("~/Mail/saved", "smith")),
        ("MYRIGHTS", b"x", MyRights("x")),
        ("GETQUOTA", b'""', GetQuota("")),
        ("GETQUOTAROOT", b"INBOX", GetQuotaRoot("INBOX")),
        ("SETQUOTA", b'"" (STORAGE 512)', SetQuota("", (("STORAGE", 512),))),
        ("SETQUOTA", b"r (storage 1 MESSAGE 2 STORAGE 3)", SetQuota("r", (("STORAGE", 3), ("MESSAGE", 2)))),
        ("SETQUOTA", b"r ()", SetQuota("r", ())),
    ],
)  # fmt: skip
def test_arguments(name: str, text: bytes, found: object) -> None:
    assert read(name, text) == found


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("SETACL", b"x", "expected a space and an identifier"),
        ("SETACL", b"x a", "expected a space and rights"),
        ("SETACL", b"x a LR", "expected rights as small letters"),
        ("SETACL", b"x a ++l", "expected rights as small letters"),
        ("DELETEACL", b"x a b", "expected the end of the command"),
        ("LISTRIGHTS", b"x", "expected a space and an identifier"),
        ("GETACL", b"", "expected a space and a mailbox name"),
        ("GETQUOTA", b"", "expected a space and a quota root"),
        ("SETQUOTA", b"r", "expected a space and a list of limits"),
        ("SETQUOTA", b"r (STORAGE)", "expected a space and a limit"),
        ("SETQUOTA", b"r (STORAGE -1)", "expected a limit"),
        ("SETQUOTA", b"r (5 5) x", "expected the end of the command"),
    ],
)
def test_what_is_wrong(name: str, text: bytes, complaint: str) -> None:
    assert complaint in complain(name, text)
