"""RCPT from somebody who has not logged in: whether the client stands in a list, and whether it has to come back.

In this order, and only for a recipient that exists here (so that nothing is told of others, and no lookup is made for
who guesses): clients in bans.allow, senders that are known by DMARC, and clients in a list of good addresses get past;
those in a list of bad ones are refused; the others are greylisted (RFC 6647). Lists are asked once in a session and
known senders once in a transaction.

Who comes back proves that it has a queue, and that it is known then spares it greylisting alone, never the lists.
Without storage nobody is greylisted: mail is worth more than this check.

Diagnostics: raises nothing; the answer is a Reply. Senders logs what its storage refuses.
"""

import math

from mailsrv.errors import StorageError
from mailsrv.mail.address import Address, domain_key
from mailsrv.mail.reply import Reply
from mailsrv.store.senders import network_of
from mailsrv.receive.checks import is_checked
from mailsrv.receive.dnsbl import Listing, judge
from mailsrv.receive.state import State, Transaction


def check_rcpt(state: State, transaction: Transaction, path: Address) -> Reply | None:
    """The refusal of a recipient that exists here; None when nothing speaks against it."""
    house = state.house
    greylist, dnsbl = house.config.greylist, house.config.dnsbl
    if not (greylist.enabled or dnsbl.zones) or not is_checked(state):
        return None
    if transaction.exempt is None:
        transaction.exempt = _is_exempt(state, transaction)
    if transaction.exempt:
        return None
    if state.standing and state.standing.bad:
        return _refusal(state.peer.client, state.standing.bad)
    return _greylist(state, transaction, path) if greylist.enabled else None


def _is_exempt(state: State, transaction: Transaction) -> bool:
    """Whether neither lists nor greylisting apply to this transaction; asks the lists if the session has not yet."""
    house, client = state.house, state.peer.client
    if house.allows(client):
        _note(transaction, "bans.allow", client, "exempt")
        return True
    if _is_known(state, transaction):
        return True
    if state.standing is None and house.lookups is not None:
        dnsbl = house.config.dnsbl
        state.standing = judge(client, dnsbl.allow_zones, dnsbl.zones, house.lookups())
    standing = state.standing
    for zone, result in standing.notes if standing else ():
        _note(transaction, "dnsbl", f"{client} {zone}", result)
    return bool(standing and standing.good)


def _is_known(state: State, transaction: Transaction) -> bool:
    """Whether mail of this network and domain has passed DMARC before."""
    senders, path = state.house.senders, transaction.reverse_path
    if senders is None or path is None:
        return False
    network, domain = network_of(state.peer.client), domain_key(path.domain)
    try:
        if not senders.is_known(network, domain):
            return False
    except StorageError:
        _note(transaction, "known_sender", f"{network} {domain}", "unavailable")
        return False
    _note(transaction, "known_sender", f"{network} {domain}", "exempt: has passed DMARC")
    return True


def _greylist(state: State, transaction: Transaction, path: Address) -> Reply | None:
    """A network, reverse-path and recipient that come for the first time have to come again."""
    senders = state.house.senders
    if senders is None:
        return None
    delay = state.house.config.greylist.delay_seconds
    network = network_of(state.peer.client)
    sender = transaction.reverse_path.key if transaction.reverse_path else ""
    try:
        age = senders.seen(network, sender, path.key)
    except StorageError:
        age, result = math.inf, "accept: the storage of senders is unavailable"
    else:
        result = f"accept: came back after {age:.0f} seconds" if age < math.inf else "accept: has come back before"
    if age < delay:
        # Told to the client alone, and so in the record with the recipient. The rules go into the message, where one
        # recipient must not read of another.
        return Reply(451, "4.7.1", f"greylisted, try again in {math.ceil(delay - age)} seconds")
    if not any(rule == "greylist" for _stage, rule, _value, _result in transaction.rules):
        _note(transaction, "greylist", f"{network} <{sender}>", result)
    return None


def _refusal(client: str, listing: Listing) -> Reply:
    text = f" ({listing.text})" if listing.text else ""
    return Reply(550, "5.7.1", f"{client} is listed in {listing.zone}{text}")


def _note(transaction: Transaction, rule: str, value: str, result: str) -> None:
    transaction.rules.append(("rcpt", rule, value, result))
