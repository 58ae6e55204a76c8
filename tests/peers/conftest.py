"""Fixtures of the peer tests: the programs that must be installed, and one mailsrv for all of them."""

import os
import shutil
import subprocess
import uuid

import pytest

from tests.peers.house import House
from tests.peers.imap_house import ImapHouse

PEERS_KEPT_APART = ("/usr/sbin", "/usr/libexec")  # where Debian puts smtp-source


@pytest.fixture(scope="session")
def peer():
    """peer(name) -> the program's path. Missing: skip, or fail where MAILSRV_PEERS=required."""

    def find(name):
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), *PEERS_KEPT_APART))
        found = shutil.which(name, path=path)
        if found:
            return found
        if os.environ.get("MAILSRV_PEERS") == "required":
            pytest.fail(f"{name} is not installed, and MAILSRV_PEERS=required")
        pytest.skip(f"{name} is not installed")

    return find


@pytest.fixture(scope="session")
def house():
    """A running mailsrv with every listener kind. Loopback is never banned: wrong passwords are part of the tests."""
    server = House(extra='[bans]\nallow = ["127.0.0.0/8"]\n')
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def imap_house():
    """A running mailsrv that serves IMAP, too; each test takes accounts of its own."""
    server = ImapHouse()
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def marker():
    """A word that no other message has."""
    return f"marker-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def run():
    """run(arguments, input="") -> the finished program, without the environment that could steer it."""

    def call(arguments, text="", **more):
        environment = {**os.environ, "HOME": "/nonexistent", "LC_ALL": "C"}
        return subprocess.run(
            [str(argument) for argument in arguments],
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            env=environment,
            **more,
        )

    return call
