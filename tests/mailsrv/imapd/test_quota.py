"""The commands on quotas; tests/cases/imap/quota.dialog shows the rest."""

from mailsrv.store.limits import MAX_NUMBER
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


def test_what_is_set_is_told_in_the_log(tmp_path):
    house = House(tmp_path)
    admin = house.client("admin")
    assert admin.do("SETQUOTA bob (STORAGE 2 MESSAGE 7)")[0] == "* QUOTA bob (STORAGE 0 2 MESSAGE 0 7)"
    admin.do("SETQUOTA bob ()")
    assert house.log.named("quota") == [
        {"id": "S1", "account": "bob", "reason": "admin has set STORAGE 2 MESSAGE 7"},
        {"id": "S1", "account": "bob", "reason": "admin has set no limit"},
    ]


def test_a_limit_beyond_what_can_be_counted(tmp_path):
    client = House(tmp_path).client("admin")
    told = f"* QUOTA bob (STORAGE 0 {MAX_NUMBER // 1024})"
    assert client.do(f"SETQUOTA bob (STORAGE {MAX_NUMBER})") == [told, "OK set"]


def test_a_damaged_file_of_quotas_is_told_and_kept(tmp_path):
    house = House(tmp_path, Usage(messages=10))
    (tmp_path / "quotas").write_bytes(b"nonsense")
    admin = house.client("admin")
    assert admin.do("SETQUOTA alice (MESSAGE 5)")[0].startswith("NO [UNAVAILABLE]")
    assert house.client().do("GETQUOTA alice")[0] == "* QUOTA alice (MESSAGE 0 10)"
    assert "quotas:1:" in house.log.named("storage")[0]["reason"]
