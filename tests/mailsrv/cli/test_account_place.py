"""Which account a command means, and what it may do there."""

import pytest

from mailsrv.cli.account_place import open_account
from mailsrv.cli.program import NotPermitted
from mailsrv.errors import Refused
from mailsrv.store.values import Incoming, Usage
from tests.mailsrv.cli.account_house import House


@pytest.fixture(autouse=True)
def nobody_changes(monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)


def test_by_name_and_by_address(tmp_path):
    house = House(tmp_path, quota=1000)
    assert open_account(house.config, "alice").account == "alice"
    place = open_account(house.config, "Bob@Example.ORG")
    assert (place.account, place.reader.limits) == ("bob", Usage(octets=1000))
    assert place.layout.root == f"{tmp_path}/data/accounts/bob"


def test_an_account_that_is_not_there(tmp_path):
    house = House(tmp_path)
    for name in ("carol", "../alice", "carol@example.org"):
        with pytest.raises(Refused, match="there is no account"):
            open_account(house.config, name)
    house.append("Subject: x\r\n\r\n", account="carol")
    assert open_account(house.config, "carol").account == "carol"


def test_who_may_not(tmp_path, monkeypatch):
    def refuse(config):
        raise NotPermitted("the queue")

    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", refuse)
    with pytest.raises(NotPermitted, match="the accounts"):
        open_account(House(tmp_path).config, "alice")


def test_a_data_dir_of_another_format(tmp_path):
    house = House(tmp_path)
    house.data.mkdir()
    (house.data / "FORMAT").write_text("99\n")
    with pytest.raises(Refused, match="knows format"):
        open_account(house.config, "alice")


def test_what_is_added_counts_for_deliveries(tmp_path):
    house = House(tmp_path, quota=1000)
    house.append("12345", account="bob")
    place = open_account(house.config, "bob")
    box = place.reader.open("INBOX")
    file = box.new_file()
    file.write([b"123"])
    box.append([Incoming(file)])
    assert (tmp_path / "data/accounts/bob/maildirsize").read_text() == "1000S\n5 1\n3 1\n"
