import socket
import stat

import pytest

from mailsrv.config.schema import ListenerConfig
from mailsrv.errors import Refused
from mailsrv.serve.listeners import adopt, close_listeners, key_of, name_of, open_listeners
from tests.ports import free_port


def smtp(port, addr="127.0.0.1"):
    return ListenerConfig(kind="smtp", addr=addr, port=port)


def lmtp(path):
    return ListenerConfig(kind="lmtp", addr=str(path))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lmtp"


@pytest.mark.parametrize(
    ("listener", "key", "name"),
    [
        (smtp(2525), ("127.0.0.1", 2525), "smtp 127.0.0.1:2525"),
        (smtp(0), ("127.0.0.1", 25), "smtp 127.0.0.1:25"),
        (smtp(25, "::0001"), ("::1", 25), "smtp [::1]:25"),
        (ListenerConfig(kind="submissions"), ("127.0.0.1", 465), "submissions 127.0.0.1:465"),
        (lmtp("/run/x"), ("/run/x", 0), "lmtp /run/x"),
    ],
)
def test_keys_and_names(listener, key, name):
    assert key_of(listener) == key
    assert name_of(listener) == name


def test_sockets_are_ready_for_many(path):
    listeners = open_listeners([smtp(free_port()), smtp(free_port(), "::1"), lmtp(path)], [])
    try:
        for listener in listeners[:2]:
            assert listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        for listener in listeners:
            assert not listener.socket.getblocking()
            assert not listener.socket.get_inheritable()
            assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert listeners[1].socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
    finally:
        close_listeners(listeners, [])
    assert not path.exists()


def test_a_socket_is_kept_with_its_address_even_when_its_kind_changes():
    port = free_port()
    old = open_listeners([smtp(port)], [])
    new = open_listeners([ListenerConfig(kind="submission", port=port), smtp(free_port())], old)
    assert new[0].socket is old[0].socket and new[0].config.kind == "submission"
    close_listeners(old, new)
    assert new[0].socket.fileno() >= 0
    close_listeners(new, [])
    assert new[0].socket.fileno() < 0


def test_every_socket_that_cannot_be_had_is_named_and_no_new_one_stays_open(tmp_path):
    file = tmp_path / "file"
    file.write_text("no socket")
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        wanted = [smtp(port), smtp(taken), smtp(25, "192.0.2.1"), lmtp(file), lmtp(tmp_path / "no" / "where")]
        with pytest.raises(Refused) as refused:
            open_listeners(wanted, [])
    lines = str(refused.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        f"cannot listen on smtp 127.0.0.1:{taken}",
        "cannot listen on smtp 192.0.2.1:25",
        f"cannot listen on lmtp {file}",
        f"cannot listen on lmtp {tmp_path}/no/where",
    ]
    assert "another program listens there" in lines[0]
    assert "does not have this address" in lines[1]
    assert "no socket has this name" in lines[2] and file.read_text() == "no socket"
    close_listeners(open_listeners([smtp(port)], []), [])


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(path):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    first = open_listeners([lmtp(path)], [])
    with pytest.raises(Refused, match="another program listens there"):
        open_listeners([lmtp(path)], [])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    close_listeners(first, [])


def test_sockets_of_the_service_manager_are_matched_by_address(path):
    port = free_port()
    made = [socket.socket(), socket.socket(), socket.socket(socket.AF_UNIX), socket.socket()]
    made[0].bind(("127.0.0.1", port))
    made[1].bind(("127.0.0.1", 0))
    made[2].bind(str(path))
    other = made[1].getsockname()[1]
    silent = made[3]
    silent.bind(("127.0.0.1", 0))
    unheard = silent.getsockname()[1]
    for each in made[:3]:
        each.listen()
    taken, complaints = adopt([each.detach() for each in made], [smtp(port), lmtp(path), smtp(unheard)])
    assert [key_of(listener.config) for listener in taken] == [("127.0.0.1", port), (str(path), 0)]
    assert [f"port {number}" in text for number, text in zip((other, unheard), complaints, strict=True)] == [True] * 2
    assert open_listeners([smtp(port)], taken)[0].passed
    close_listeners(taken, [])
    assert path.exists()  # its name is the service manager's
