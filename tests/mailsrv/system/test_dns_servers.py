import os

import pytest

from mailsrv.errors import GrammarError
from mailsrv.system.dns_servers import MAX_SERVERS, SHUN_SECONDS, ServerList, parse_nameserver, parse_resolv_conf
from tests.fakes.clock import FakeClock

GOOD = {
    "127.0.0.1": ("127.0.0.1", 53, True, "127.0.0.1"),
    "127.0.0.53:53": ("127.0.0.53", 53, True, "127.0.0.53"),
    "127.0.0.1:5353": ("127.0.0.1", 5353, True, "127.0.0.1:5353"),
    "192.0.2.53": ("192.0.2.53", 53, False, "192.0.2.53"),
    "::1": ("::1", 53, True, "::1"),
    "[::1]": ("::1", 53, True, "::1"),
    "[::1]:65535": ("::1", 65535, True, "[::1]:65535"),
    "2001:DB8::53": ("2001:db8::53", 53, False, "2001:db8::53"),
    "fe80::1%eth0": ("fe80::1%eth0", 53, False, "fe80::1%eth0"),
    "[fe80::1%eth0]:54": ("fe80::1%eth0", 54, False, "[fe80::1%eth0]:54"),
}
BAD = [
    "",
    "localhost",
    "dns.example",
    "192.0.2",
    "192.0.2.53:0",
    "192.0.2.53:65536",
    "192.0.2.53:",
    "192.0.2.53:x",
    "192.0.2.53 ",
    "[192.0.2.53]",
    "[::1",
    "::1]:53",
    "[::1]53",
    "192.0.2.053",
    "٢.0.0.1",
]


@pytest.mark.parametrize("text", GOOD)
def test_nameserver(text):
    server = parse_nameserver(text)
    assert (server.address, server.port, server.is_local, str(server)) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_no_nameserver(text):
    with pytest.raises(GrammarError, match="must be like 127.0.0.1"):
        parse_nameserver(text)


def test_resolv_conf():
    text = (
        "# made by hand\n; nameserver 192.0.2.9\ndomain example.org\nsearch example.org\n\n"
        "nameserver 192.0.2.1\n  nameserver\t2001:db8::1   # second\nnameserver\nnameserver nonsense\n"
        "options trust-ad timeout:1\nnameservers 192.0.2.7\n"
    )
    assert [str(server) for server in parse_resolv_conf(text)] == ["192.0.2.1", "2001:db8::1"]
    many = "".join(f"nameserver 192.0.2.{number}\n" for number in range(100))
    assert len(parse_resolv_conf(many)) == MAX_SERVERS


def current(servers):
    return [str(server) for server in servers.current()]


def test_the_systems_file_is_read_again_when_it_changes(tmp_path):
    path = tmp_path / "resolv.conf"
    servers = ServerList([], FakeClock(), str(path))
    assert current(servers) == ["127.0.0.1"]
    path.write_text("nameserver 192.0.2.1\n")
    assert current(servers) == ["192.0.2.1"]
    # As resolvconf does it: another file of the same size under the same name.
    other = tmp_path / "other"
    other.write_text("nameserver 192.0.2.2\n")
    os.replace(other, path)
    assert current(servers) == ["192.0.2.2"]
    path.write_text("search example.org\n")
    assert current(servers) == ["127.0.0.1"]
    path.unlink()
    assert current(servers) == ["127.0.0.1"]


def test_configured_servers_come_before_the_systems(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\n")
    assert current(ServerList(["192.0.2.7", "[::1]:54"], FakeClock(), str(path))) == ["192.0.2.7", "[::1]:54"]


def test_a_server_that_failed_is_asked_last_for_a_while():
    clock = FakeClock()
    servers = ServerList(["192.0.2.1", "192.0.2.2", "192.0.2.3"], clock, "")
    servers.shun(parse_nameserver("192.0.2.1"))
    assert current(servers) == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]
    servers.shun(parse_nameserver("192.0.2.2"))
    assert current(servers) == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
    clock.advance(SHUN_SECONDS)
    assert current(servers) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
