import os
import socket

import pytest

from mailsrv.system.notify import FIRST_DESCRIPTOR, Notifier, take_descriptors


@pytest.mark.parametrize("form", ["path", "abstract"])
def test_variables_arrive_as_one_datagram(tmp_path, form):
    name = str(tmp_path / "n") if form == "path" else f"@mailsrv-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": name}).send(READY=1, STATUS="serving\nwell")
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving well"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}])
def test_without_a_manager_nothing_happens(environ):
    Notifier(environ).send(READY=1)


def test_a_manager_that_does_not_listen_stops_nothing(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send(READY=1)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "2"},
        {"LISTEN_FDS": "2", "LISTEN_PID": "1"},  # meant for another process
        {"LISTEN_FDS": "many", "LISTEN_PID": "42"},
        {"LISTEN_FDS": "0", "LISTEN_PID": "42", "LISTEN_FDNAMES": ""},
    ],
)
def test_no_descriptors(environ):
    assert take_descriptors(environ, 42) == []
    assert environ == {}


def test_descriptors_are_taken_once_and_go_no_further(monkeypatch):
    closed = []
    monkeypatch.setattr(os, "set_inheritable", lambda number, inheritable: closed.append((number, inheritable)))
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "42", "LISTEN_FDNAMES": "a:b", "HOME": "/"}
    assert take_descriptors(environ, 42) == [FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + 1]
    assert closed == [(3, False), (4, False)]
    assert environ == {"HOME": "/"}
    assert take_descriptors(environ, 42) == []
