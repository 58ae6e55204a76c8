"""SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 section 3), and MYRIGHTS of LIST (RFC 8440).

Identifiers are accounts, by name or any address of theirs, and `anyone`; with a leading `-` rights are denied. The
owner has every right and cannot lose one. Older clients know `c` and `d` (section 2.1.1): they are read as the rights
that they mean, and told beside these.

Diagnostics: Refusal for rights (BAD) and identifiers that do not exist; NoMailbox and NoPermission; StorageError.
"""

from collections.abc import Callable

from mailsrv.imap import extended_responses
from mailsrv.imap.access_arguments import DeleteAcl, GetAcl, ListRights, Modification, MyRights, SetAcl
from mailsrv.imap.answers import Answer, Refusal, bad, no, ok
from mailsrv.imap.events import Command
from mailsrv.store.access import ANYONE, NEGATIVE
from mailsrv.store.refusals import NoMailbox
from mailsrv.store.values import EVERY_RIGHT
from mailsrv.imapd.library import Place
from mailsrv.imapd.state import State

# What the rights of RFC 2086 mean (RFC 4314 section 2.1.1).
_VIRTUAL = {"c": "kx", "d": "te"}
_ANY = "lrikxa"  # one of these is enough for MYRIGHTS (section 4)


def set_rights(state: State, command: Command) -> Answer:
    """SETACL."""
    arguments = command.arguments
    assert isinstance(arguments, SetAcl)
    wanted = _read_rights(arguments.rights)
    place, info = state.mailboxes.find(arguments.mailbox, "a")
    identifier = _read_identifier(state, place, arguments.identifier)
    changes: dict[Modification, Callable[[str], str]] = {
        Modification.REPLACE: lambda old: wanted,
        Modification.ADD: lambda old: old + "".join(right for right in wanted if right not in old),
        Modification.REMOVE: lambda old: "".join(right for right in old if right not in wanted),
    }
    change = changes[arguments.modification]
    state.mailboxes.grant(place, info, identifier, lambda old: _sort(change(old)))
    return ok("granted")


def delete_rights(state: State, command: Command) -> Answer:
    """DELETEACL."""
    arguments = command.arguments
    assert isinstance(arguments, DeleteAcl)
    place, info = state.mailboxes.find(arguments.mailbox, "a")
    # An account that does not exist any more can be taken off the list.
    known = arguments.identifier in state.mailboxes.entries(place, info)
    identifier = arguments.identifier if known else _read_identifier(state, place, arguments.identifier)
    state.mailboxes.grant(place, info, identifier, lambda old: "")
    return ok("taken back")


def get_rights(state: State, command: Command) -> Answer:
    """GETACL."""
    arguments = command.arguments
    assert isinstance(arguments, GetAcl)
    place, info = state.mailboxes.find(arguments.mailbox, "a")
    entries = sorted(state.mailboxes.entries(place, info).items())
    told = [(place.owner, tell_rights(EVERY_RIGHT)), *((name, tell_rights(rights)) for name, rights in entries)]
    state.send(extended_responses.acl(state.mailboxes.spell(place, info.name), told, state.core.utf8))
    return ok("that is all")


def list_rights(state: State, command: Command) -> Answer:
    """LISTRIGHTS: no rights are tied together."""
    arguments = command.arguments
    assert isinstance(arguments, ListRights)
    place, info = state.mailboxes.find(arguments.mailbox, "a")
    name = state.mailboxes.spell(place, info.name)
    if _find_account(state, arguments.identifier) == place.owner:
        rights = (tell_rights(EVERY_RIGHT),)
    else:
        _read_identifier(state, place, arguments.identifier)
        rights = ("", *EVERY_RIGHT, *_VIRTUAL)
    state.send(extended_responses.list_rights(name, arguments.identifier, rights, state.core.utf8))
    return ok("that is all")


def my_rights(state: State, command: Command) -> Answer:
    """MYRIGHTS."""
    arguments = command.arguments
    assert isinstance(arguments, MyRights)
    state.send(make_my_rights(state, arguments.mailbox))
    return ok("that is all")


def make_my_rights(state: State, mailbox: str) -> bytes:
    """The MYRIGHTS response of a mailbox. Raises NoMailbox, also where the account has none of the rights that let it
    know of the mailbox."""
    library = state.mailboxes
    place = library.place(mailbox)
    info = place.reader.find(place.name)
    rights = library.rights_of(place, info)
    if not any(right in rights for right in _ANY):
        raise NoMailbox(f"there is no mailbox {mailbox}")
    return extended_responses.my_rights(library.spell(place, info.name), tell_rights(rights), state.core.utf8)


def tell_rights(rights: str) -> str:
    """Rights with those of RFC 2086 that they are part of."""
    return rights + "".join(old for old, new in _VIRTUAL.items() if any(right in rights for right in new))


def _sort(rights: str) -> str:
    return "".join(right for right in EVERY_RIGHT if right in rights)


def _read_rights(text: str) -> str:
    """Rights as they are kept."""
    rights = "".join(_VIRTUAL.get(right, right) for right in text)
    for right in rights:
        if right not in EVERY_RIGHT:
            raise Refusal(bad(f"there is no right {right}"))
    return _sort(rights)


def _read_identifier(state: State, place: Place, text: str) -> str:
    """An identifier as it is kept; the owner is none."""
    sign = NEGATIVE if text.startswith(NEGATIVE) else ""
    name = text.removeprefix(sign)
    if name == ANYONE:
        return text
    account = _find_account(state, name)
    if not account:
        raise Refusal(no(f"there is no account {name}", "CANNOT"))
    if account == place.owner:
        raise Refusal(no("the owner has every right, always", "CANNOT"))
    return sign + account


def _find_account(state: State, name: str) -> str:
    """The account that a name or address means; "" for none."""
    found = state.house.directory.account(name)
    return "" if found is None else found.name
