import json
import selectors
import socket
import stat
import threading

import pytest

from mailsrv.errors import Refused, StorageError
from mailsrv.serve.control import REQUEST_OCTETS, ControlServer, Declined, ask, refuse

DEADLINE = 20


class Loop:
    """A control socket with its loop in a thread; requests named `later` are answered when the next one comes."""

    def __init__(self, data_dir):
        (data_dir / "run").mkdir()
        self.data_dir = str(data_dir)
        self.path = data_dir / "run" / "control"
        self.selector = selectors.DefaultSelector()
        self.later = []
        self.server = ControlServer(str(self.path), self.selector, self.dispatch)
        self._end, self._ends = socket.socketpair()
        self.selector.register(self._end, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                key.data()

    def dispatch(self, request, reply):
        if request["verb"] == "later":
            self.later.append(reply)
            return
        for waiting in self.later:
            waiting({"ok": True, "verb": "later"})
        reply({"ok": True, **request} if request["verb"] != "no" else refuse("first", "second"))

    def close(self):
        self._ends.close()
        self._thread.join(DEADLINE)
        self.server.remove()
        self.server.remove()
        self.server.close()
        self.selector.close()
        self._end.close()


@pytest.fixture
def loop(tmp_path):
    running = Loop(tmp_path)
    yield running
    running.close()
    assert not running.path.exists()


def test_question_and_answer(loop):
    assert ask(loop.data_dir, {"verb": "echo", "word": "ü"}, DEADLINE) == {"ok": True, "verb": "echo", "word": "ü"}
    assert stat.S_IMODE(loop.path.stat().st_mode) == 0o600


def test_a_no_comes_with_its_complaints(loop):
    with pytest.raises(Declined, match="first\nsecond"):
        ask(loop.data_dir, {"verb": "no"}, DEADLINE)


def test_an_answer_may_come_later_and_meanwhile_others_are_answered(loop):
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(ask(loop.data_dir, {"verb": "later"}, DEADLINE)))
    waiting.start()
    pause = threading.Event()
    while not loop.later:
        pause.wait(0.005)
    assert ask(loop.data_dir, {"verb": "now"}, DEADLINE)["verb"] == "now"
    waiting.join(DEADLINE)
    assert answers == [{"ok": True, "verb": "later"}]


@pytest.mark.parametrize("line", [b"[]\n", b"nonsense\n", b'"verb"\n', b"\xff\xfe\n"])
def test_what_is_no_request_is_told_so(loop, line):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(str(loop.path))
        for octet in line:
            client.send(bytes([octet]))
        answer = json.loads(client.makefile("rb").readline())
        assert answer == refuse("a request is one JSON object on one line")


def test_brackets_without_end_are_no_request(loop):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(str(loop.path))
        client.sendall(b"[" * 50_000 + b"\n")
        answer = json.loads(client.makefile("rb").readline())
        assert answer == refuse("a request is one JSON object on one line")


def test_who_says_too_much_or_nothing_is_forgotten(loop):
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as loud:
        silent.connect(str(loop.path))
        loud.settimeout(DEADLINE)
        loud.connect(str(loop.path))
        with pytest.raises(OSError):
            for _ in range(REQUEST_OCTETS):
                loud.sendall(b"x" * 1000)
        # Who goes away before the answer is not missed.
        silent.send(b'{"verb": "later"}\n')
        silent.close()
        assert ask(loop.data_dir, {"verb": "now"}, DEADLINE)["ok"]
        assert ask(loop.data_dir, {"verb": "now"}, DEADLINE)["ok"]


def test_without_a_server(tmp_path):
    with pytest.raises(Refused, match="no server runs for .*; `mailsrv serve` starts one"):
        ask(str(tmp_path), {"verb": "status"})
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "run" / "control"))
    with pytest.raises(Refused, match="no server runs"):
        ask(str(tmp_path), {"verb": "status"})


def test_a_server_that_is_silent_or_dies(tmp_path):
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run" / "control"))
        server.listen()
        with pytest.raises(Refused, match="does not answer"):
            ask(str(tmp_path), {"verb": "status"}, 0.05)
        server.accept()[0].close()

        def die():
            server.accept()[0].recv(100)

        dying = threading.Thread(target=die)
        dying.start()
        with pytest.raises(Refused, match="ended before it answered"):
            ask(str(tmp_path), {"verb": "status"}, DEADLINE)
        dying.join(DEADLINE)


def test_the_socket_of_a_living_server_is_not_taken(loop):
    with pytest.raises(StorageError, match="control socket cannot be made"):
        ControlServer(str(loop.path), loop.selector, loop.dispatch)
    assert ask(loop.data_dir, {"verb": "now"}, DEADLINE)["ok"]
