"""A service on loopback that serves one connection after the other as a subclass says."""

import socket
import threading
from contextlib import suppress

DEADLINE = 20.0  # seconds; far more than anything takes


class Gone(Exception):
    """The client has left."""


class FakeService:
    """`serve(connection)` is called for each connection, in one thread; then the connection is closed.

    With `path` it listens on a unix socket, else on a port of its own (`port`)."""

    def __init__(self, path=""):
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._current = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def serve(self, connection):
        raise NotImplementedError

    def close(self):
        self._stop.set()
        for one in (self._listener, self._current):
            with suppress(OSError, AttributeError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        self._listener.close()

    def hold(self, connection):
        """Say nothing until the client leaves."""
        while connection.recv(65536):
            pass
        raise Gone

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._current = connection
            self.connections += 1
            connection.settimeout(DEADLINE)
            with connection, suppress(OSError, Gone):
                self.serve(connection)


def read_exactly(connection, count):
    """So many octets. Raises Gone."""
    octets = b""
    while len(octets) < count:
        more = connection.recv(count - len(octets))
        if not more:
            raise Gone
        octets += more
    return octets
