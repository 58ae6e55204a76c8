"""Importing from another server by IMAP: its mailboxes with special use and subscriptions, its messages with flags.

Only one's own mailboxes are listed, without the prefix that some servers put before them. A message is known again by
UIDVALIDITY and UID. Small messages are fetched many at once, large ones by pieces. A connection that breaks is made
again, a few times, and goes on where it was; one over which comes what is no IMAP, or no end, is given up. Nothing is
changed there: mailboxes are examined, and bodies peeked at.

Diagnostics: Refused when the server is not reached or does not let us in; SourceLost when it is lost for good.
"""

import threading
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

from mailsrv.errors import GrammarError, Refused
from mailsrv.system.imap_client import Described, ImapClient, ImapLost, ImapNonsense, ImapRefused, Listed, Security
from mailsrv.imap import utf7
from mailsrv.mail.sent_date import read_sent_date
from mailsrv.store.values import INBOX, SPECIAL_USES
from mailsrv.cli.import_source import Item, Origin, SourceLost, Unreadable, clean_name, distinct, use_of

SECONDS = 60.0  # that an answer may take to go on
_WINDOW = 1000  # messages described at once
_GROUP = 100  # fetched at once
_GROUP_OCTETS = 4 << 20
_PIECE = 4 << 20
_UNKNOWN_SIZE = 1 << 20
_MAX_SIZE = 2 << 30  # of a message
_EMPTY_WINDOWS = 10  # in a row, without a message that was not seen before
_LOSSES = 4  # connections that may break in a row
_USES = {use.lower(): use for use in SPECIAL_USES}
# These show messages that are in other mailboxes too.
_VIEWS = {"\\all", "\\flagged", "\\important"}
_NO_MESSAGES = {"\\noselect", "\\nonexistent"}


@dataclass(frozen=True, slots=True)
class ImapPlace:
    """Where, and as whom. `account` is the login there; `verify`: its certificate must be good."""

    host: str
    port: int
    security: Security
    verify: bool
    account: str
    password: str


class ImapSource:
    """One account of another server; `wait` passes the seconds between attempts."""

    kind = "imap"

    def __init__(self, place: ImapPlace, wait: Callable[[float], object] | None = None) -> None:
        self._place = place
        self._wait = wait or threading.Event().wait
        self._validity = -1  # of the mailbox that is being read
        self._renewed = False  # the connection, while a message was read
        self.identity = f"{place.account}@{place.host}:{place.port}"
        try:
            self._client = self._connect()
        except (ImapLost, ImapRefused) as error:
            raise Refused(f"{place.host}, port {place.port}: {error}") from None

    def mailboxes(self) -> list[Origin]:
        """See Source."""
        losses = 0
        while True:
            try:
                return self._list()
            except ImapRefused as error:
                raise SourceLost(f"{self._place.host}: {error}") from None
            except ImapLost as error:
                losses = self._again(losses, error, f"{self._place.host}: {error}")

    def _list(self) -> list[Origin]:
        namespaces, listed = self._client.namespaces(), self._client.list_mailboxes()
        own = [prefix for prefix, _ in namespaces[0]] if namespaces else [b""]
        foreign = tuple(prefix for part in namespaces[1:] for prefix, _ in part if prefix)
        found = []
        for one in listed:
            if one.attributes & _NO_MESSAGES or foreign and one.name.startswith(foreign):
                continue
            name = _name(one, own)
            is_view = bool(one.attributes & _VIEWS)
            use = "" if is_view else next((_USES[word] for word in one.attributes if word in _USES), use_of(name))
            if name:
                # INBOX is seen whether it is subscribed or not.
                subscribed = "\\subscribed" in one.attributes or name == INBOX
                count = self._client.count(one.name)
                found.append(Origin(name, one.name.decode("latin-1"), use, subscribed, count, is_view))
        return distinct(found)

    def items(self, origin: Origin, known: Container[str]) -> Iterator[Item]:
        """See Source, by ascending UID."""
        done = losses = 0
        self._validity = -1
        while True:
            self._renewed = False
            try:
                for uid, item in self._walk(origin, known, done):
                    yield item
                    done, losses = uid, 0
                if not self._renewed:
                    return
            except ImapRefused as error:
                raise SourceLost(f"{origin.name}: {self._place.host}: {error}") from None
            except ImapLost as error:
                losses = self._again(losses, error, f"{origin.name}: {self._place.host}: {error}")

    def close(self) -> None:
        """See Source."""
        self._client.close()

    def _connect(self) -> ImapClient:
        place = self._place
        client = ImapClient(place.host, place.port, place.security, place.verify, SECONDS)
        try:
            client.login(place.account, place.password)
        except (ImapLost, ImapRefused):
            client.close()
            raise
        return client

    def _again(self, losses: int, error: ImapLost, reason: str) -> int:
        """Connect again after so many losses in a row and one more; gives how many there are then."""
        self._client.close()
        while losses + 1 < _LOSSES and not isinstance(error, ImapNonsense):
            losses += 1
            self._wait(float(losses * losses))
            try:
                self._client = self._connect()
            except (ImapLost, ImapRefused):
                continue
            return losses
        raise SourceLost(reason)

    def _walk(self, origin: Origin, known: Container[str], done: int) -> Iterator[tuple[int, Item]]:
        """The messages behind the UID `done`."""
        count, validity = self._examine(origin)
        number = 1
        empty = highest = 0
        while number <= count:
            described = self._client.describe(number, min(number + _WINDOW - 1, count))
            last = described[-1].uid if described else 0
            empty, highest = (0, last) if last > highest else (empty + 1, highest)
            if empty == _EMPTY_WINDOWS:
                raise ImapNonsense(f"it says that there are {count} messages, and does not show them")
            for group in _groups([one for one in described if one.uid > done], validity, known):
                bodies = self._fetch([one.uid for one, new in group if new and one.size <= _PIECE])
                for one, new in group:
                    item = self._item(origin, one, bodies) if new else _item(one, validity, None)
                    yield one.uid, item
                    done = one.uid
                    if self._renewed:
                        return  # numbers may be others on the new connection
            # What others expunge moves the numbers of the rest.
            expunged = self._client.expunged()
            count -= expunged
            number = max(number + _WINDOW - expunged, 1)

    def _fetch(self, uids: list[int]) -> dict[int, bytes]:
        if not uids:
            return {}
        try:
            return self._client.bodies(uids)
        except ImapRefused:
            if len(uids) == 1:
                return {}
        # One of them is damaged there.
        found: dict[int, bytes] = {}
        for uid in uids:
            found |= self._fetch([uid])
        return found

    def _examine(self, origin: Origin) -> tuple[int, int]:
        """How many messages there are, and the UIDVALIDITY, which is the same as long as they are read."""
        count, validity = self._client.examine(origin.key.encode("latin-1"))
        if self._validity not in (-1, validity):
            raise SourceLost(f"{origin.name}: its messages were given other numbers meanwhile; begin again")
        self._validity = validity
        return count, validity

    def _item(self, origin: Origin, one: Described, bodies: dict[int, bytes]) -> Item:
        pieces = iter((bodies[one.uid],)) if one.uid in bodies else self._pieces(origin, one.uid)
        return _item(one, self._validity, pieces)

    def _pieces(self, origin: Origin, uid: int) -> Iterator[bytes]:
        """The octets of a large message; on a new connection those that are missing."""
        offset = losses = 0
        examined = True
        while True:
            try:
                if not examined:
                    self._examine(origin)
                    examined = True
                for piece in self._client.pieces(uid, _PIECE, offset):
                    yield piece
                    offset += len(piece)
                    losses = 0
                    if offset > _MAX_SIZE:
                        raise Unreadable(f"it has more than {_MAX_SIZE} octets")
                return
            except ImapRefused as error:
                raise Unreadable(str(error)) from None
            except ImapLost as error:
                losses = self._again(losses, error, f"{origin.name}: {self._place.host}: {error}")
                self._renewed, examined = True, False


def _item(one: Described, validity: int, pieces: Iterator[bytes] | None) -> Item:
    date = read_sent_date(one.date)
    return Item(_key(validity, one.uid), f"UID {one.uid}", one.flags, date.seconds if date else None, pieces)


def _key(validity: int, uid: int) -> str:
    return f"{validity}.{uid}"


def _groups(
    described: list[Described], validity: int, known: Container[str]
) -> Iterator[list[tuple[Described, bool]]]:
    """Messages that are handed on together, each with whether it is new."""
    group: list[tuple[Described, bool]] = []
    octets = 0
    for one in described:
        new = _key(validity, one.uid) not in known
        size = (one.size or _UNKNOWN_SIZE) if new and one.size <= _PIECE else 0
        if group and (len(group) >= _GROUP or octets + size > _GROUP_OCTETS):
            yield group
            group, octets = [], 0
        group.append((one, new))
        octets += size
    if group:
        yield group


def _name(one: Listed, own: list[bytes]) -> str:
    """What it is called here: without the prefix of its namespace, levels parted by a slash."""
    octets = one.name
    if octets.upper() == b"INBOX":
        return INBOX
    for prefix in own:
        if prefix and octets.startswith(prefix):
            octets = octets[len(prefix) :]
            break
    levels = octets.split(one.delimiter) if one.delimiter else [octets]
    return clean_name(_decode(level) for level in levels)


def _decode(level: bytes) -> str:
    try:
        return utf7.decode(level)
    except GrammarError:
        return level.decode("utf-8", "replace")
