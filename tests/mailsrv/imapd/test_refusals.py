"""Every reason of the store has its code."""

import pytest

from mailsrv.errors import StorageError, StorageFull
from mailsrv.imapd.refusals import _CODES, failure, refusal
from mailsrv.store import refusals
from mailsrv.store.refusals import NoMailbox, OverQuota, StoreRefusal


def test_every_reason_has_a_code() -> None:
    reasons = {one for one in vars(refusals).values() if isinstance(one, type) and issubclass(one, StoreRefusal)}
    assert reasons - {StoreRefusal} == set(_CODES)


@pytest.mark.parametrize(
    ("error", "try_create", "line"),
    [
        (NoMailbox("there is none"), False, b"a NO [NONEXISTENT] there is none\r\n"),
        (NoMailbox("there is none"), True, b"a NO [TRYCREATE] there is none\r\n"),
        (OverQuota("full"), True, b"a NO [OVERQUOTA] full\r\n"),
    ],
)
def test_refusals(error, try_create, line) -> None:
    assert refusal(error, try_create).encode(b"a") == line


def test_what_the_disk_says_is_for_the_log_only() -> None:
    for error in (StorageError("/data/x: broken"), StorageFull("/data: full")):
        status = failure(error)
        assert status.code == "UNAVAILABLE"
        assert "/data" not in status.text
