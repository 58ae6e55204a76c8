"""Dialogs of several clients with one server: what each says and must hear (tests/cases/imap/*.dialog, but for core-*).

    1c: text      client 1 sends the text and CRLF         1C: text     it sends the text without CRLF
    1s: line      the next line that client 1 hears        1-:          client 1 is another connection from here on
    d: account octets    a message is delivered into the account's INBOX, and announced
    progress: at once    word of a long search comes with every step of it, not every ten seconds

Clients are digits; a client connects, logs in as `account: NAME` (a directive, alice by default; `account2: bob` for
client 2) and hears nothing of that. In lines heard, `...` is anything, `<name>` is something without spaces and
brackets, the same wherever the name stands again; it may be said by clients too. Every line is heard: one that no `s:`
expects is a fault, at the latest when the dialog ends and all clients log out.

Escapes in c, C and d are those of tests/cases/dialog.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.cases.dialog import unescape

_LINE = re.compile(r"(?:([1-9])([cCs-])|(d)):(?: (.*))?")
_PLACE = re.compile(r"<([a-z][a-z0-9]*)>|(\.\.\.)")


@dataclass(frozen=True)
class Step:
    """One line of a dialog: `client` 0 for deliveries; `mark` c, C, s, - or d."""

    number: int
    client: int
    mark: str
    text: str


@dataclass(frozen=True)
class Talk:
    """One file."""

    name: str
    accounts: dict[int, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    impatient: bool = False

    def account(self, client: int) -> str:
        return self.accounts.get(client) or self.accounts.get(0) or "alice"


class Client(Protocol):
    """One connection that is logged in."""

    def send(self, octets: bytes) -> None: ...
    def hear(self) -> str:
        """The next line, without CRLF; "" when there is none (in time)."""
        ...
    def close(self) -> None: ...


class Server(Protocol):
    def client(self, account: str) -> Client: ...
    def deliver(self, account: str, octets: bytes) -> None: ...


def parse(name: str, text: str) -> Talk:
    """Read a dialog; raise ValueError with the line for what is none."""
    accounts: dict[int, str] = {}
    steps = []
    impatient = False
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip() or raw.startswith("#"):
            continue
        if match := re.fullmatch(r"account([1-9]?): (\w+)", raw):
            accounts[int(match[1] or 0)] = match[2]
        elif raw == "progress: at once":
            impatient = True
        elif match := _LINE.fullmatch(raw):
            steps.append(Step(number, int(match[1] or 0), match[2] or "d", match[4] or ""))
        else:
            raise ValueError(f"{name}:{number}: {raw!r} is no line of a dialog here")
    return Talk(name, accounts, tuple(steps), impatient)


def load(directory: Path) -> list[Talk]:
    """All dialogs of a directory that are not the core's own, by name."""
    paths = [path for path in sorted(directory.glob("*.dialog")) if not path.name.startswith("core-")]
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in paths]


class Captures:
    """What the names of a dialog stand for."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """The text with each known name replaced."""
        return _PLACE.sub(lambda match: self._found.get(match[1], match[0]) if match[1] else match[0], text)

    def matches(self, pattern: str, line: str) -> bool:
        """Whether a line is what is expected; names get their meaning where they stand first."""
        source, at, seen = "", 0, set()
        for match in _PLACE.finditer(pattern):
            source += re.escape(pattern[at : match.start()])
            at = match.end()
            name = match[1]
            if not name:
                source += ".*"
            elif name in self._found:
                source += re.escape(self._found[name])
            elif name in seen:
                source += f"(?P={name})"
            else:
                seen.add(name)
                source += rf"(?P<{name}>[^\s\[\]()\"]+)"
        found = re.fullmatch(source + re.escape(pattern[at:]), line)
        if found:
            self._found |= found.groupdict()
        return found is not None


def play(talk: Talk, server: Server, send: Callable[[Client, bytes], None]) -> str:
    """Let the clients talk; "" when all heard what they should, else what was wrong."""
    clients: dict[int, Client] = {}
    captures = Captures()

    def client_of(number: int) -> Client:
        if number not in clients:
            clients[number] = server.client(talk.account(number))
        return clients[number]

    try:
        for step in talk.steps:
            if step.mark == "d":
                account, _, octets = captures.fill(step.text).partition(" ")
                server.deliver(account, unescape(octets))
            elif step.mark == "-":
                fault = _log_out(talk, clients.pop(step.client), step.client)
                if fault:
                    return fault
            elif step.mark == "s":
                heard = client_of(step.client).hear()
                if not captures.matches(step.text, heard):
                    return f"{talk.name}:{step.number}: expected {captures.fill(step.text)!r}, heard {heard!r}"
            else:
                end = b"\r\n" if step.mark == "c" else b""
                send(client_of(step.client), unescape(captures.fill(step.text)) + end)
        for number, client in list(clients.items()):
            del clients[number]
            fault = _log_out(talk, client, number)
            if fault:
                return fault
    finally:
        for client in clients.values():
            client.close()
    return ""


def _log_out(talk: Talk, client: Client, number: int) -> str:
    try:
        client.send(b"bye LOGOUT\r\n")
        heard = client.hear()
        return "" if heard in ("", "* BYE until next time") else f"{talk.name}: client {number} heard more: {heard!r}"
    except ConnectionError:
        return ""  # the server has ended the session before
    finally:
        client.close()
