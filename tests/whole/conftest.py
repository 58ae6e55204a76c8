"""Servers for the tests of this directory, gone when the test is."""

import pytest

from tests.whole.running import Running


@pytest.fixture
def make_server():
    made = []

    def make(**text):
        made.append(Running(**text))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(make_server):
    """A server that runs, with two workers."""
    running = make_server(more="[limits]\nworkers = 2\n")
    running.start()
    return running
