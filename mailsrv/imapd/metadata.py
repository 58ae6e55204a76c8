"""GETMETADATA and SETMETADATA (RFC 5464), and METADATA of LIST (RFC 9590).

Private values are the account's own, also of mailboxes that others share; shared ones are the mailbox's, and to change
them needs the right to change its flags too. What is shared about the server is the operator's alone: whom to write to.

Diagnostics: Refusal for what may not be changed or is too much; NoMailbox and NoPermission; StorageError.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from mailsrv.imap import extended_responses
from mailsrv.imap.answers import Answer, Refusal, bad, no, ok
from mailsrv.imap.entries import GetMetadata, SetMetadata
from mailsrv.imap.events import Command
from mailsrv.config.schema import Config
from mailsrv.store.metadata import MAX_VALUE, SERVER
from mailsrv.store.refusals import NoPermission, TooMany
from mailsrv.store.values import MailboxInfo
from mailsrv.imapd.library import Place
from mailsrv.imapd.state import State

PRIVATE = "/private/"
SHARED = "/shared/"
_VENDOR = "vendor"
_VENDOR_LEVELS = 4  # of names below /private/vendor and /shared/vendor, at least (RFC 5464 section 3.2)
_ANY = "rswip"  # one of these is needed beside `l` (section 3.3)

Values = Mapping[str, bytes]


def get_metadata(state: State, command: Command) -> Answer:
    """GETMETADATA."""
    arguments = command.arguments
    assert isinstance(arguments, GetMetadata)
    name, values = find_values(state, arguments.mailbox)
    told: dict[str, bytes | None] = {}
    longest = 0
    for entry in arguments.entries:
        for found, value in _choose(values, entry, arguments.depth):
            if arguments.largest is not None and value is not None and len(value) > arguments.largest:
                longest = max(longest, len(value))
            else:
                told[found] = value
    if told:
        state.send(extended_responses.metadata(name, told.items(), state.core.utf8))
    return ok("that is all", f"METADATA LONGENTRIES {longest}" if longest else "")


def _choose(values: Values, entry: str, depth: int | None) -> list[tuple[str, bytes | None]]:
    """The entries that are meant by one name, with their values; that name itself, without, when there is none."""
    found = [(entry, values[entry])] if entry in values else []
    if depth != 0:
        below = [name for name in sorted(values) if name.startswith(entry + "/")]
        levels = entry.count("/") + 1
        found += [(name, values[name]) for name in below if depth is None or name.count("/") <= levels]
    return list(found) or [(entry, None)]


def set_metadata(state: State, command: Command) -> Answer:
    """SETMETADATA: all of the entries, or none."""
    arguments = command.arguments
    assert isinstance(arguments, SetMetadata)
    for entry, value in arguments.values:
        levels = entry.split("/")[1:]
        if levels[1] == _VENDOR and len(levels) < _VENDOR_LEVELS:
            raise Refusal(bad("expected the name of a vendor, and a name of its own"))
        if value is not None and len(value) > MAX_VALUE:
            raise Refusal(no(f"a value has at most {MAX_VALUE} octets", f"METADATA MAXSIZE {MAX_VALUE}"))
    private = {entry: value for entry, value in arguments.values if entry.startswith(PRIVATE)}
    shared = {entry: value for entry, value in arguments.values if entry.startswith(SHARED)}
    try:
        if not arguments.mailbox:
            _set_of_server(state, private, shared)
        else:
            _set_of_mailbox(state, arguments.mailbox, private, shared).reader.announce()
    except TooMany as error:
        return no(str(error), "METADATA TOOMANY")
    return ok("kept")


Changes = Mapping[str, bytes | None]


def _set_of_server(state: State, private: Changes, shared: Changes) -> None:
    if shared:
        raise Refusal(no("what is shared about the server is the operator's", "NOPERM"))
    state.house.metadata.change(state.account, SERVER, private)
    state.mailboxes.own.announce()


def _set_of_mailbox(state: State, name: str, private: Changes, shared: Changes) -> Place:
    place, info = _expect_mailbox(state, name)
    if shared and "w" not in state.mailboxes.rights_of(place, info):
        raise NoPermission(f"{place.owner} does not allow to change what is shared about {name} (the right w)")
    metadata = state.house.metadata
    alive = {line.mailboxid for line in place.reader.mailboxes()}
    if place.owner == state.account:
        metadata.change(state.account, info.mailboxid, {**private, **shared}, alive)
        return place
    # Two files; when the second refuses, the first is as it was.
    key = _key_of_other(place, info)
    before = metadata.values(state.account, key)
    old = {entry: before.get(entry) for entry in private}
    if private:
        metadata.change(state.account, key, private)
    if shared:
        try:
            metadata.change(place.owner, info.mailboxid, shared, alive)
        except TooMany:
            metadata.change(state.account, key, old)
            raise
    return place


def copy_values(state: State, old: str, new: str) -> None:
    """Give a mailbox of the account all values of another one, as far as there is room."""
    own, metadata = state.mailboxes.own, state.house.metadata
    values = metadata.values(state.account, own.find(old).mailboxid)
    if values:
        with suppress(TooMany):
            metadata.change(state.account, own.find(new).mailboxid, values)


def make_metadata(state: State, mailbox: str, entries: Iterable[str]) -> bytes:
    """The METADATA response of a mailbox, for LIST. Raises NoMailbox and NoPermission."""
    name, values = find_values(state, mailbox)
    return extended_responses.metadata(name, [(entry, values.get(entry)) for entry in entries], state.core.utf8)


def find_values(state: State, mailbox: str) -> tuple[str, Values]:
    """What this account calls a mailbox, and all of the values that it may see; "" is the server."""
    metadata = state.house.metadata
    if not mailbox:
        values = {SHARED + "admin": f"mailto:{postmaster_of(state.house.config)}".encode()}
        return "", {**metadata.values(state.account, SERVER), **values}
    place, info = _expect_mailbox(state, mailbox)
    name = state.mailboxes.spell(place, info.name)
    theirs = metadata.values(place.owner, info.mailboxid)
    if place.owner == state.account:
        return name, theirs
    shared = {entry: value for entry, value in theirs.items() if entry.startswith(SHARED)}
    return name, {**shared, **metadata.values(state.account, _key_of_other(place, info))}


def _expect_mailbox(state: State, mailbox: str) -> tuple[Place, MailboxInfo]:
    """A mailbox whose values the account may know."""
    place, info = state.mailboxes.find(mailbox, _ANY)
    if "l" not in state.mailboxes.rights_of(place, info):
        raise NoPermission(f"{place.owner} does not allow this with {mailbox} (the right l)")
    return place, info


def _key_of_other(place: Place, info: MailboxInfo) -> str:
    return f"{place.owner}/{info.mailboxid}"


def postmaster_of(config: Config) -> str:
    """Whom to write to about this server: an address."""
    whom = config.reports.postmaster
    if "@" in whom or not config.domains:
        return whom if "@" in whom else f"{whom}@{config.hostname}"
    return f"{whom}@{config.hostname if config.hostname in config.domains else config.domains[0]}"
