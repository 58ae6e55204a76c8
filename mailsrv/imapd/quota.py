"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208): what an account stores, and how much it may.

Each account is one quota root, called by its name, over all its mailboxes. Limits come from the configuration; no
client changes them, so QUOTASET is not told. Whoever may read a mailbox of another account may ask what that account
stores (section 6).

Diagnostics: NoMailbox and NoPermission; Refusal for quota roots that do not exist or are not to be seen; StorageError.
"""

from mailsrv.imap import extended_responses
from mailsrv.imap.access_arguments import GetQuota, GetQuotaRoot
from mailsrv.imap.answers import Answer, Refusal, no, ok
from mailsrv.imap.events import Command
from mailsrv.store.reader import Reader
from mailsrv.imapd.state import State

_KIB = 1024


def get_quota(state: State, command: Command) -> Answer:
    """GETQUOTA: of the account's own root."""
    arguments = command.arguments
    assert isinstance(arguments, GetQuota)
    if arguments.root != state.account:
        raise Refusal(no("there is no such quota root, or it is not yours", "NOPERM"))
    state.send(_make_quota(state.mailboxes.own))
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
    """SETQUOTA: the configuration says it."""
    return no("quotas are set in the configuration of this server", "NOPERM")


def _make_quota(reader: Reader) -> bytes:
    """The QUOTA response of an account; what nobody has looked at yet is looked at, for the number must be exact
    (section 5.2). No resource is named that has no limit."""
    reader.adopt()
    usage, limits = reader.usage(), reader.limits
    resources = []
    if limits.octets:
        resources.append(("STORAGE", -(-usage.octets // _KIB), limits.octets // _KIB))
    if limits.messages:
        resources.append(("MESSAGE", usage.messages, limits.messages))
    return extended_responses.quota(reader.account, resources)
