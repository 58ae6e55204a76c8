"""Whether an account exists does not show in how long a refused login takes.

400 tries with a wrong password and 400 with an unknown account, in the order ABBA, over submission TLS. Their medians
differ by less than 5 % and the Kolmogorov-Smirnov test does not tell them apart (p > 0.01). Chance fails this once in
a hundred runs, a leak fails it always: a failure is looked at again with as many new tries.
"""

import base64
import math
import socket
import ssl
import time
from statistics import median

from tests.peers.house import PASSWORDS

TRIES = 400
MEDIANS = 0.05
PROBABILITY = 0.01


def kolmogorov_smirnov(first, second):
    """p of the two-sample test: how likely two samples of one distribution differ so much (asymptotic formula)."""
    ours, theirs = sorted(first), sorted(second)
    at, bt, distance = 0, 0, 0.0
    while at < len(ours) and bt < len(theirs):
        value = min(ours[at], theirs[bt])
        while at < len(ours) and ours[at] == value:
            at += 1
        while bt < len(theirs) and theirs[bt] == value:
            bt += 1
        distance = max(distance, abs(at / len(ours) - bt / len(theirs)))
    root = math.sqrt(len(ours) * len(theirs) / (len(ours) + len(theirs)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series converges slowly there, and its sum is 1 within 1e-12
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(terms)))


class Client:
    """One connection that is about to log in."""

    def __init__(self, house):
        self._port = house.ports["submissions"]
        self._context = ssl.create_default_context(cafile=str(house.certificate))
        self._socket = None

    def connect(self):
        """Handshake, greeting, EHLO."""
        plain = socket.create_connection(("127.0.0.1", self._port), 30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = self._context.wrap_socket(plain, server_hostname="127.0.0.1")
        assert self._reply().startswith(b"220")
        self._socket.sendall(b"EHLO client.example.net\r\n")
        assert self._reply().startswith(b"250")

    def ask(self, login, password):
        """The reply to AUTH PLAIN, or b"" when the server closed the connection."""
        credentials = base64.b64encode(f"\0{login}\0{password}".encode())
        self._socket.sendall(b"AUTH PLAIN " + credentials + b"\r\n")
        return self._reply()

    def _reply(self):
        octets = b""
        while not octets.endswith(b"\r\n") or octets[:-2].rpartition(b"\r\n")[2][3:4] == b"-":
            chunk = self._socket.recv(4096)
            if not chunk:
                return b""
            octets += chunk
        return octets

    def try_login(self, login, password):
        """Seconds from the AUTH command to its 535."""
        started = time.perf_counter()
        reply = self.ask(login, password)
        seconds = time.perf_counter() - started
        assert reply.startswith(b"535 5.7.8"), reply
        return seconds

    def close(self):
        self._socket.close()


def sample(house, tries):
    """Times of (wrong password, unknown account), `tries` of each; the two take turns in going first.

    A pair has a connection of its own: the server ends one that fails too often.
    """
    times = {"alice": [], "allie": []}
    assert "alice" in PASSWORDS and "allie" not in PASSWORDS
    client = Client(house)
    for number in range(tries):
        client.connect()
        for login in sorted(times, reverse=bool(number % 2)):
            times[login].append(client.try_login(login, "wrong password"))
        client.close()
    return times["alice"], times["allie"]


def judge(wrong, unknown):
    """What is wrong with two samples, or an empty text."""
    ratio = median(unknown) / median(wrong)
    probability = kolmogorov_smirnov(wrong, unknown)
    if abs(ratio - 1) <= MEDIANS and probability > PROBABILITY:
        return ""
    return f"medians {median(wrong) * 1000:.2f} and {median(unknown) * 1000:.2f} ms, p = {probability:.2g}"


def test_unknown_account_and_wrong_password_cost_the_same(house):
    sample(house, 10)  # the first logins of each worker load argon2
    first = judge(*sample(house, TRIES))
    second = first and judge(*sample(house, TRIES))
    assert not second, f"{first}; again: {second}"


def test_answers_are_the_same(house):
    """Not a word tells them apart either."""
    replies = set()
    for login in ("alice", "allie"):
        client = Client(house)
        client.connect()
        replies.add(client.ask(login, "wrong").partition(b" id=")[0])
        client.close()
    assert len(replies) == 1, replies


def test_kolmogorov_smirnov_formula():
    """Known values: equal samples give 1, disjoint ones 0, a shift of a tenth of 400 something in between."""
    numbers = list(range(400))
    assert kolmogorov_smirnov(numbers, numbers) == 1.0
    assert kolmogorov_smirnov(numbers, [n + 1000 for n in numbers]) < 1e-100
    # distance 0.1, scaled (14.142 + 0.12 + 0.0078) * 0.1 = 1.427: 2 exp(-2 * 1.427^2) = 0.0340
    assert math.isclose(kolmogorov_smirnov(numbers, [n + 40 for n in numbers]), 0.0340, abs_tol=5e-4)
