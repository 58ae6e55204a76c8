"""RCPT: which recipients are taken, and what each stands for.

Addresses of our domains become accounts (once per account, however many of its addresses are named) and the remote
members of aliases; other domains are for logged-in accounts only. LMTP delivers into accounts and nowhere else (RFC
2033): an alias with remote members is refused there, since nothing would carry the message on. A recipient that exists
may still be refused for the client's sake (greylist.py).

Diagnostics: raises nothing; the answer is a Reply.
"""

from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Recipient
from mailsrv.mail.reply import Reply
from mailsrv.receive import decision
from mailsrv.receive.greylist import check_rcpt
from mailsrv.receive.house import Expansion
from mailsrv.receive.space import storage_reply
from mailsrv.receive.state import State, Transaction
from mailsrv.smtp.events import Rcpt

OK = Reply(250, "2.1.5", "recipient ok")
NO_RELAY = Reply(550, "5.7.1", "relaying denied")
UNKNOWN = Reply(550, "5.1.1", "no such user")
LOOP = Reply(550, "5.4.6", "the alias leads to itself or to too many addresses")
NOT_FULL_NAME = Reply(550, "5.1.2", "the recipient's domain is not a full domain name")
ELSEWHERE = Reply(550, "5.2.4", "the alias leads to other servers, which LMTP cannot reach")
OVER_QUOTA = Reply(452, "4.2.2", "the mailbox is full, try again later")
TOO_MANY = Reply(452, "4.5.3", "too many recipients after expansion, send the rest in another transaction")

# An alias may stand for this many addresses; one such alias always fits beside limits.recipients others.
_EXPANSION = 1000
# Refusals that one record keeps; a client that goes on asking does not fill our memory.
_ASKED = 2000


def answer_rcpt(state: State, event: Rcpt) -> Reply:
    """Decide on RCPT; a positive answer adds to the state's transaction, a negative one is logged."""
    transaction = state.transaction
    assert transaction is not None  # the core lets no RCPT through without MAIL
    path = event.forward_path
    expansion = state.house.directory.expand(path)
    reply = _decide(state, transaction, path, expansion)
    if reply is not OK:
        if len(transaction.asked) < _ASKED:
            transaction.asked.append((path, expansion.rule, (), reply))
        return decision.refuse(state, "rcpt", reply, path)
    accounts = tuple(expansion.accounts)
    transaction.forward_paths.append((path, accounts))
    if expansion.local:
        transaction.asked.append((path, expansion.rule, accounts, None))
        _add_local(state, transaction, event, expansion)
    else:
        transaction.asked.append((path, "relay", (), None))
        _add_remote(transaction, Recipient(path, event.dsn))
    return OK


def _decide(state: State, transaction: Transaction, path: Address, expansion: Expansion) -> Reply:
    """Ask the rules in order; the first that refuses gives the reply."""
    if not expansion.local:
        if not state.account or state.is_lmtp:
            return NO_RELAY
        if "." not in path.domain and not path.is_literal:
            return NOT_FULL_NAME
    elif expansion.rule == "too_deep":
        return LOOP
    elif not expansion.found or (expansion.rule == "srs" and transaction.reverse_path is not None):
        # A rewritten sender's address is for reports only: whoever has got one must not relay through it.
        return UNKNOWN
    elif expansion.remote and state.is_lmtp:
        return ELSEWHERE
    elif refusal := check_rcpt(state, transaction, path):
        return refusal
    elif expansion.accounts:
        try:
            if not _has_room(state, transaction, expansion):
                return OVER_QUOTA
        except StorageError as error:
            return storage_reply(state, error)
    room = state.house.config.limits.recipients + _EXPANSION
    if len(transaction.recipients) + len(expansion.accounts) + len(expansion.remote) > room:
        return TOO_MANY
    return OK


def _has_room(state: State, transaction: Transaction, expansion: Expansion) -> bool:
    """Whether anyone behind an address can take the message. A full member of an alias does not stop the others; it
    gets this message too, since the client cannot send to the others alone."""
    house = state.house
    size = transaction.parameters.size or 1
    room = bool(expansion.remote)
    for name in expansion.accounts:
        account = house.directory.account(name)
        # Also where the configuration names no quota: one may have been set.
        transaction.quotas[name] = account.quota_bytes if account is not None else 0
        room = room or house.quota.room(name, transaction.quotas[name], size)
    return room


def _add_local(state: State, transaction: Transaction, event: Rcpt, expansion: Expansion) -> None:
    """Add what a local address stands for, leaving out who is there already."""
    path = event.forward_path
    accounts = expansion.accounts
    is_alias = len(accounts) != 1 or bool(expansion.remote) or expansion.rule not in _DIRECT
    for name in accounts:
        if name not in transaction.accounts:
            transaction.accounts.add(name)
            transaction.recipients.append(
                Recipient(_address_of(state, name, path), event.dsn, path, name)
                if is_alias
                else Recipient(path, event.dsn, None, name)
            )
    for address in expansion.remote:
        _add_remote(transaction, Recipient(address, event.dsn, path))


def _add_remote(transaction: Transaction, recipient: Recipient) -> None:
    """Add a remote address unless it is there already."""
    key = recipient.address.key
    if key not in transaction.remote:
        transaction.remote.add(key)
        transaction.recipients.append(recipient)


def _address_of(state: State, name: str, path: Address) -> Address:
    """An account's own first address, by which an alias reaches it."""
    account = state.house.directory.account(name)
    return account.addresses[0] if account else path


# The rules of directory.accounts by which an address is the account's own.
_DIRECT = frozenset({"account", "detail", "domain_alias"})
