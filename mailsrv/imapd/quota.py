"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208): what an account stores, and how much it may.

Each account is one quota root, called by its name, over all its mailboxes. Whoever may read a mailbox of another
account may ask what that account stores (section 6). Limits come from the configuration until an account with
`sets_quotas` has set others; nobody else sets any, be it for himself, and no right on a mailbox lets anybody.

Diagnostics: NoMailbox and NoPermission; Refusal for quota roots that do not exist or are not to be seen, and for limits
that cannot be; StorageError.
"""

from mailsrv.system import events
from mailsrv.imap import extended_responses
from mailsrv.imap.access_arguments import GetQuota, GetQuotaRoot, SetQuota
from mailsrv.imap.answers import Answer, Refusal, no, ok
from mailsrv.imap.events import Command
from mailsrv.store.limits import MAX_NUMBER
from mailsrv.store.reader import Reader
from mailsrv.store.values import Usage
from mailsrv.imapd.state import State

_KIB = 1024
_STORAGE = "STORAGE"
_MESSAGE = "MESSAGE"


def get_quota(state: State, command: Command) -> Answer:
    """GETQUOTA: of the account's own root, or of any, for whoever may set them."""
    arguments = command.arguments
    assert isinstance(arguments, GetQuota)
    state.send(_make_quota(_expect_root(state, arguments.root, own=True)))
    return ok("that is all")


def get_quota_root(state: State, command: Command) -> Answer:
    """GETQUOTAROOT, also of a mailbox that is yet to be made."""
    arguments = command.arguments
    assert isinstance(arguments, GetQuotaRoot)
    library = state.mailboxes
    place = library.place(arguments.mailbox)
    name = library.spell(place, place.name)
    if place.owner != state.account:
        library.find(arguments.mailbox, "r")
    state.send(extended_responses.quota_root(name, [place.owner], state.core.utf8))
    state.send(_make_quota(place.reader))
    return ok("that is all")


def set_quota(state: State, command: Command) -> Answer:
    """SETQUOTA. A resource that is not named has no limit afterwards (section 4.1.3)."""
    arguments = command.arguments
    assert isinstance(arguments, SetQuota)
    reader = _expect_root(state, arguments.root, own=False)
    wanted = dict(arguments.limits)
    for resource, limit in wanted.items():
        if resource not in (_STORAGE, _MESSAGE):
            raise Refusal(no(f"{resource} is not limited here", "CANNOT"))
        if resource == _MESSAGE and not limit:
            raise Refusal(no("to let nothing in, set STORAGE to 0", "CANNOT"))
    # 0 says that nothing may be stored (section 3.1.2), and to us that there is no limit: one octet holds no message.
    octets = min(wanted[_STORAGE] * _KIB, MAX_NUMBER) or 1 if _STORAGE in wanted else 0
    state.house.readers.set_limits(reader.account, Usage(octets, wanted.get(_MESSAGE, 0)))
    told = " ".join(f"{resource} {limit}" for resource, limit in wanted.items()) or "no limit"
    events.quota(
        state.house.log, id=state.peer.session_id, account=reader.account, reason=f"{state.account} has set {told}"
    )
    state.send(_make_quota(reader))
    return ok("set")


def _expect_root(state: State, root: str, own: bool) -> Reader:
    """The account whose root it is, for whoever may set quotas; with `own` the account's own root too."""
    if own and root == state.account:
        return state.mailboxes.own
    account = state.house.directory.account(state.account)
    if account is None or not account.sets_quotas:
        raise Refusal(no("there is no such quota root, or it is not yours", "NOPERM"))
    known = state.house.directory.account(root)
    reader = state.mailboxes.reader_of(root) if known is not None and known.name == root else None
    if reader is None:
        raise Refusal(no("there is no such quota root", "NONEXISTENT"))
    return reader


def _make_quota(reader: Reader) -> bytes:
    """The QUOTA response of an account; what nobody has looked at yet is looked at, for the number must be exact
    (section 5.2). No resource is named that has no limit."""
    reader.adopt()
    usage, limits = reader.usage(), reader.limits
    resources = []
    if limits.octets:
        resources.append((_STORAGE, -(-usage.octets // _KIB), limits.octets // _KIB))
    if limits.messages:
        resources.append((_MESSAGE, usage.messages, limits.messages))
    return extended_responses.quota(reader.account, resources)
