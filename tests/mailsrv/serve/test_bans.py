import os

import pytest

from mailsrv.errors import GrammarError
from mailsrv.serve.bans import LONGEST_SECONDS, Ban, Bans, network_of, parse_network
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def bans(tmp_path, clock):
    return Bans(str(tmp_path / "bans"), str(tmp_path / "bans.lock"), Disk(), clock)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::1/128", "2001:db8::/64"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_networks(text, network):
    assert parse_network(text) == network == network_of(text)


def test_what_is_no_network():
    with pytest.raises(GrammarError):
        parse_network("mx.example.test")
    assert network_of("local") == ""


def test_a_ban_until_it_expires(bans, clock):
    assert bans.banned("192.0.2.1") is None
    assert bans.add("192.0.2.1", 60, "10 failed\nlogins") == Ban("192.0.2.1", 1_700_000_060, "10 failed logins")
    assert bans.banned("192.0.2.1") and not bans.banned("192.0.2.2")
    assert bans.banned("::ffff:192.0.2.1")
    assert not bans.banned("local")
    clock.advance(60)
    assert bans.banned("192.0.2.1") is None
    assert bans.current() == []


def test_networks_are_banned_whole(bans):
    bans.add("2001:db8::1", 60, "")
    bans.add("198.51.100.0/24", 60, "")
    bans.add("2001:db9::/32", 60, "")
    assert bans.banned("2001:db8::ffff") and not bans.banned("2001:db8:0:1::1")
    assert bans.banned("198.51.100.77") and not bans.banned("198.51.101.1")
    assert bans.banned("2001:db9:5::1")


def test_a_ban_can_be_taken_back(bans):
    bans.add("192.0.2.1", 60, "x")
    assert bans.remove("192.0.2.1")
    assert not bans.remove("192.0.2.1")
    assert not bans.banned("192.0.2.1")


def test_the_file_is_for_people(bans, tmp_path, clock):
    bans.add("192.0.2.9", 60, "by hand")
    bans.add("192.0.2.1", 60, "by hand")
    bans.add("192.0.2.1", 90, "longer")
    text = (tmp_path / "bans").read_text()
    assert text == "192.0.2.1 2023-11-14T22:14:50Z longer\n192.0.2.9 2023-11-14T22:14:20Z by hand\n"
    (tmp_path / "bans").write_text("# comment\nnonsense\n192.0.2.5 soon x\n192.0.2.7 2023-11-15T00:00:00+01:00\n")
    assert [ban.network for ban in bans.current()] == ["192.0.2.7"]
    assert bans.banned("192.0.2.7").reason == ""
    clock.advance(3600)
    bans.add("192.0.2.8", 60, "")
    assert (tmp_path / "bans").read_text().startswith("192.0.2.8 ")  # what expired is left out


def test_what_one_process_writes_another_sees(bans, tmp_path, clock):
    other = Bans(str(tmp_path / "bans"), str(tmp_path / "bans.lock"), Disk(), clock)
    assert not other.banned("192.0.2.1")
    bans.add("192.0.2.1", 60, "")
    assert other.banned("192.0.2.1")
    other.add("192.0.2.2", 60, "")
    assert len(bans.current()) == 2
    os.unlink(tmp_path / "bans")
    assert not bans.banned("192.0.2.1")


def test_however_long_a_ban_is_meant_to_be_it_can_be_written(bans, clock):
    bans.add("192.0.2.1", 10**15, "for\never \x1b[31m" + "x" * 1000)
    [ban] = bans.current()
    assert ban.expires == clock.now() + LONGEST_SECONDS
    assert ban.reason.startswith("for ever [31mxxx")
    assert len(ban.reason) == 200
