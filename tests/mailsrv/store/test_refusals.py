"""Why the store refuses."""

from mailsrv.errors import MailsrvError, StorageError
from mailsrv.store import refusals


def test_they_are_the_clients_business_and_not_the_disks():
    reasons = {kind for kind in vars(refusals).values() if isinstance(kind, type) and kind is not MailsrvError}
    assert len(reasons) > 8
    assert all(issubclass(kind, refusals.StoreRefusal) for kind in reasons)
    assert not any(issubclass(kind, StorageError) for kind in reasons)
    assert all(kind.__doc__ for kind in reasons)
