"""The commands on quotas; tests/cases/imap/quota.dialog shows the rest."""

from mailsrv.store.values import Usage

from tests.fakes.imap_client import House, message


def test_what_nobody_has_looked_at_counts(tmp_path):
    house = House(tmp_path, Usage(messages=10))
    client = house.client()
    client.do("CREATE Team")
    (tmp_path / "accounts/alice/.Team/new/1.a.h").write_bytes(message())
    assert client.do("GETQUOTA alice")[0] == "* QUOTA alice (MESSAGE 1 10)"


def test_octets_are_told_in_kib(tmp_path):
    house = House(tmp_path, Usage(octets=10 * 1024))
    client = house.client()
    house.deliver(b"x" * 1025)
    assert client.do("GETQUOTAROOT inbox") == [
        "* QUOTAROOT INBOX alice", "* QUOTA alice (STORAGE 2 10)", "OK that is all"
    ]  # fmt: skip
