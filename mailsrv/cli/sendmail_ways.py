"""The two ways of a local program's message: into the queue at once (root, the service user), or into the drop
directory (everybody else).

Diagnostics: `open_way` raises NotPermitted when this user has neither, ConfigError and Refused as queue_place does;
`Way.send` raises what mailsrv.receive.handover raises, and StorageError.
"""

import os
from typing import Protocol

from mailsrv.cli.program import NotPermitted
from mailsrv.cli.queue_place import SLOT, Place, find_drop_dir, open_place
from mailsrv.config.schema import LimitsConfig
from mailsrv.directory.accounts import Directory
from mailsrv.errors import ConfigError, GrammarError
from mailsrv.mail.address import Address, parse_address
from mailsrv.receive.handover import Handover, User
from mailsrv.spool.drop import Request, leave
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.system import events
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Scratch

_UMASK = 0o027  # the service's group reads what is left


class Way(Protocol):
    """How messages are sent. `hostname` for greetings; `limit`: octets of a message."""

    hostname: str
    limit: int

    def send(self, request: Request, message: bytes) -> str:
        """Make the message durable; gives its ID. Line ends are CRLF."""
        ...

    def knows(self, address: Address) -> bool:
        """False for an address of ours that nobody has."""
        ...


class QueueWay:
    """Into the queue, as the service user."""

    def __init__(self, place: Place, user: User) -> None:
        self._place = place
        self._user = user
        self._directory = Directory.from_config(place.config)
        self._handover = Handover(place.config, self._directory)
        self._spool = Spool(place.disk, place.config.data_dir, place.waker)
        self.hostname = place.config.hostname
        self.limit = place.config.limits.message_size

    def send(self, request: Request, message: bytes) -> str:
        """See Way."""
        place = self._place
        identifier = place.new_id()
        with Scratch(place.disk, place.layout.tmp, len(message), MemoryBudget(len(message))) as scratch:
            scratch.write(message)
            envelope, octets = self._handover.make(identifier, request, self._user, scratch, check=True)
            self._spool.enqueue(envelope, octets)
        events.received(
            place.log, id=identifier, client="local", helo="", protocol="local", tls="", account="",
            from_=str(envelope.reverse_path or "<>"), size=envelope.size, recipients=len(envelope.recipients),
            seconds=0.0,
        )  # fmt: skip
        events.queued(place.log, id=identifier, recipients=len(envelope.recipients), reason="")
        return identifier

    def knows(self, address: Address) -> bool:
        """See Way."""
        expansion = self._directory.expand(address)
        return expansion.found or not expansion.local


class DropWay:
    """Into the drop directory, from where the runner takes it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._disk = Disk()
        self._ids = QueueIds(SystemClock(), SLOT)
        self.hostname = "localhost"
        self.limit = LimitsConfig().message_size

    def send(self, request: Request, message: bytes) -> str:
        """See Way. What can be known without the configuration is checked now, while somebody reads the answer."""
        for text in (*request.recipients, *([request.sender] if request.sender not in ("", "<>") else [])):
            parse_address(text if "@" in text else f"{text}@localhost")
        if not request.recipients:
            raise GrammarError("there is no recipient")
        identifier = child(self._ids.new(), 0)
        os.umask(_UMASK)
        leave(self._disk, self._directory, identifier, request, message)
        return identifier

    def knows(self, address: Address) -> bool:
        """See Way: nobody knows here."""
        return True


def open_way(config_path: str, user: User) -> Way:
    """The way that this user has."""
    try:
        return QueueWay(open_place(config_path), user)
    except NotPermitted as error:
        reason: Exception = error
    except ConfigError as error:
        if os.geteuid() == 0:
            raise
        reason = error
    if directory := find_drop_dir(config_path):
        return DropWay(directory)
    if isinstance(reason, ConfigError):
        raise reason
    raise NotPermitted(
        "this user may not write to the queue, and there is no drop directory (drop_dir in mailsrv.toml(5))"
    )
