"""The control socket `run/control`: one request as a JSON object on one line, one answer likewise, and the end.

Both ends stand here: the supervisor's, in its loop, and the commands' (`ask`). A request is {"verb": ..., and what
the verb needs}; an answer is {"ok": true, ...}, or {"ok": false, "complaints": [...]}. Verbs are fixed
(supervisor.VERBS); mail never passes here. Only the user who started the server may connect: the socket has mode
0600.

Diagnostics: `ask` raises Refused when no server answers, Declined when it says no. The supervisor's end raises
nothing; a client that sends something else is told so.
"""

import json
import os
import selectors
import socket
from collections.abc import Callable
from typing import Any

from mailsrv.errors import Refused, StorageError
from mailsrv.serve.listeners import remove_stale_socket

REQUEST_OCTETS = 65536
MODE = 0o600
_SEND_SECONDS = 2.0
_BACKLOG = 16

Request = dict[str, Any]
Answer = dict[str, Any]
Reply = Callable[[Answer], None]
Dispatch = Callable[[Request, Reply], None]


class Declined(Refused):
    """The server answered, and says no; the text is its complaints."""


def refuse(*complaints: str) -> Answer:
    """An answer that says no, and why."""
    return {"ok": False, "complaints": list(complaints)}


class ControlServer:
    """The supervisor's end. `dispatch` is called with each request, and answers now or later."""

    def __init__(self, path: str, selector: selectors.BaseSelector, dispatch: Dispatch) -> None:
        self._path = path
        self._selector = selector
        self._dispatch = dispatch
        self._clients: dict[socket.socket, bytes] = {}
        try:
            remove_stale_socket(path)
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            before = os.umask(0o777 & ~MODE)
            try:
                self._listening.bind(path)
            finally:
                os.umask(before)
            self._listening.listen(_BACKLOG)
        except OSError as error:
            raise StorageError(f"{path}: the control socket cannot be made: {error.strerror or error}") from error
        self._listening.setblocking(False)
        selector.register(self._listening, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Let go of everything; the name stays (see `remove`)."""
        self._listening.close()
        for client in self._clients:
            client.close()
        self._clients.clear()

    def remove(self) -> None:
        """Remove the name: the server ends in order."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            return

    def _accept(self) -> None:
        try:
            client, _ = self._listening.accept()
        except OSError:
            return
        client.setblocking(False)
        self._clients[client] = b""
        self._selector.register(client, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        try:
            octets = client.recv(REQUEST_OCTETS)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        self._clients[client] += octets
        if not octets or len(self._clients[client]) > REQUEST_OCTETS:
            self._forget(client)
        elif b"\n" in octets:
            # What the client does from now on is not looked at; the answer closes.
            self._selector.unregister(client)
            self._answer(client, self._clients[client])

    def _answer(self, client: socket.socket, line: bytes) -> None:
        def reply(answer: Answer) -> None:
            if client not in self._clients:
                return
            client.settimeout(_SEND_SECONDS)
            try:
                client.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass  # who asked has gone: nobody is there to be told
            del self._clients[client]
            client.close()

        try:
            request = json.loads(line)
        except (ValueError, RecursionError):  # the second from brackets in brackets without end
            request = None
        if not isinstance(request, dict):
            reply(refuse("a request is one JSON object on one line"))
            return
        self._dispatch(request, reply)

    def _forget(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._clients[client]
        client.close()


def ask(data_dir: str, request: Request, seconds: float | None = None) -> Answer:
    """Send a request to the server of `data_dir` and give its answer. Raises Refused; waits for `seconds`, None: for
    ever.
    """
    path = f"{data_dir}/run/control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(seconds)
        try:
            client.connect(path)
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as file:
                line = file.readline()
        except (FileNotFoundError, ConnectionRefusedError):
            raise Refused(f"no server runs for {data_dir}; `mailsrv serve` starts one") from None
        except TimeoutError:
            raise Refused(f"the server of {data_dir} does not answer; see its log") from None
        except OSError as error:
            raise Refused(f"{path}: {error.strerror or error}; only the user who started the server may ask") from None
    if not line:
        raise Refused(f"the server of {data_dir} ended before it answered; see its log")
    answer: Answer = json.loads(line)
    if not answer.get("ok"):
        raise Declined("\n".join(answer["complaints"]))
    return answer
