"""The message itself: takes its octets, judges its header, and has it delivered before the 250.

Nothing here parses a body. The header is scanned once at C-speed (mail/header): Received fields are counted against
loops (RFC 5321 section 6.3), Return-Path fields of earlier hops go, our Received field comes on top. What a submitted
message needs besides stands in receive/submission. A fault on the way (disk, size) waits for the end of the message.

Diagnostics: raises nothing; StorageFull becomes 452 4.3.1, any other StorageError 451 4.3.0.
"""

from itertools import islice

from mailsrv.errors import StorageError
from mailsrv.mail import header
from mailsrv.mail.envelope import Envelope
from mailsrv.mail.reply import Reply
from mailsrv.mail.trace import return_path_field
from mailsrv.receive import checks, decision, submission
from mailsrv.receive.recipient import OVER_QUOTA
from mailsrv.receive.space import NO_ROOM, storage_reply
from mailsrv.receive.stamp import stamp, with_protocol
from mailsrv.receive.state import State, Transaction
from mailsrv.smtp.events import DataEnd, DataStart
from mailsrv.store.feedback import is_candidate
from mailsrv.system import events
from mailsrv.system.scratch import Octets

GO = Reply(354, "", "start mail input, end with <CRLF>.<CRLF>")
CHUNKS = Reply(250, "2.0.0", "send the message")
LOOPING = Reply(554, "5.4.6", "too many Received fields: the message is looping")
HEADER_TOO_LONG = Reply(552, "5.3.4", "the header of the message is too long")
TOO_MANY_FIELDS = Reply(552, "5.3.4", "the header of the message has too many fields")

HEADER_LIMIT = 1 << 18  # octets of a header: every message that waits for the DNS holds its own
# Fields of a header: each costs what reads the header a hundred octets, held while the DNS is waited for.
FIELDS_LIMIT = 10_000
_FIRST_LOOK = 1 << 14  # most headers are shorter


def start_data(state: State, event: DataStart) -> Reply:
    """Answer DATA, or the first BDAT of a message."""
    transaction = _transaction(state)
    if not state.house.space.has(transaction.parameters.size):
        transaction.rules.append(("data", "space", transaction.parameters.size, "defer"))
        return decision.refuse(state, "data", NO_ROOM)
    if transaction.scratch is None:
        transaction.scratch = state.house.scratch()
    return CHUNKS if event.chunking else GO


def take_chunk(state: State, octets: bytes) -> None:
    """Keep some octets. When the disk refuses them, the rest is read and forgotten and the end is answered 4yz."""
    transaction = _transaction(state)
    if transaction.fault is not None or transaction.scratch is None:
        return
    try:
        transaction.scratch.write(octets)
    except StorageError as error:
        transaction.fault = storage_reply(state, error)


def end_data(state: State, event: DataEnd) -> Reply | list[Reply]:
    """Judge and deliver the message; ends the transaction. LMTP gets a reply per accepted recipient."""
    transaction = _transaction(state)
    fault = event.fault or transaction.fault
    if fault is not None:
        transaction.rules.append(("data", "transfer", event.size, decision.verdict_of(fault)))
        answer: Reply | list[Reply] = fault
    else:
        try:
            answer = _judge_and_deliver(state, transaction)
        except StorageError as error:
            answer = storage_reply(state, error)
    # LMTP: the record's one reply is the best one, since with it the message was kept for somebody.
    reply = min(answer, key=lambda one: one.code) if isinstance(answer, list) else answer
    if reply.code < 400:
        _log_received(state, transaction, event.size)
    elif not isinstance(answer, list):
        decision.refuse(state, "data", reply)
    if not 400 <= reply.code < 500:  # what comes again is told of then
        checks.conclude(state, transaction, reply.code < 400)
    decision.write(state, transaction, decision.verdict_of(reply), reply, event.size)
    if state.is_lmtp and not isinstance(answer, list):
        answer = [answer] * len(transaction.forward_paths)
    transaction.close()
    state.transaction = None
    return answer


def _transaction(state: State) -> Transaction:
    assert state.transaction is not None  # the core lets no message through without MAIL
    return state.transaction


def _judge_and_deliver(state: State, transaction: Transaction) -> Reply | list[Reply]:
    judged = _judge(state, transaction)
    if isinstance(judged, Reply):
        return judged
    return _deliver_each(state, transaction, judged) if state.is_lmtp else _deliver(state, transaction, judged)


def _judge(state: State, transaction: Transaction) -> Octets | Reply:
    """Scan the header and ask the rules of content; gives the message as it will be stored, or a refusal."""
    scratch = transaction.scratch
    assert scratch is not None  # made at DataStart
    head = scratch.head(_FIRST_LOOK)
    scanned = header.scan(head, scratch.size <= len(head))
    if scanned is None:
        head = scratch.head(HEADER_LIMIT)
        scanned = header.scan(head, scratch.size <= len(head))
    if scanned is None or scanned.length > HEADER_LIMIT:
        transaction.rules.append(("data", "header_length", HEADER_LIMIT, "reject"))
        return HEADER_TOO_LONG
    if _has_too_many_fields(scanned):
        transaction.rules.append(("data", "header_fields", FIELDS_LIMIT, "reject"))
        return TOO_MANY_FIELDS
    hops = scanned.count(b"received")
    limit = state.house.config.limits.received_fields
    transaction.rules.append(("data", "received_fields", hops, "reject" if hops > limit else "accept"))
    if hops > limit:
        return LOOPING
    trace = stamp(state, transaction, state.house.clock.now())
    if state.is_submission:
        completed = submission.complete(state, transaction, scanned)
        if isinstance(completed, Reply):
            return completed
        return Octets(trace + completed, scratch, len(scanned.octets))
    if not scanned.begins:  # text without a header must not become the continuation of ours: an empty line parts them
        octets = Octets(trace + b"\r\n", scratch, 0)
    else:
        kept = checks.remove_forged(state, scanned)
        is_whole = kept is scanned.octets
        octets = Octets(trace, scratch) if is_whole else Octets(trace + kept, scratch, len(scanned.octets))
    transaction.is_report = is_candidate(scanned)
    return checks.judge(state, transaction, scanned, octets) if checks.is_checked(state) else octets


def _has_too_many_fields(scanned: header.Header) -> bool:
    """Whether there are more than FIELDS_LIMIT; counted only where there are as many lines."""
    if scanned.octets.count(b"\r\n") <= FIELDS_LIMIT:
        return False
    return next(islice(scanned.fields(), FIELDS_LIMIT, None), None) is not None


def _envelope(state: State, transaction: Transaction, size: int) -> Envelope:
    clock = state.house.clock
    return Envelope(
        transaction.id,
        clock.now() - (clock.monotonic() - transaction.started),  # when MAIL came: the log's delays begin there
        transaction.reverse_path,
        tuple(transaction.recipients),
        transaction.parameters,
        state.account,
        state.peer.client,
        size,
        transaction.mailbox,
    )


def _deliver(state: State, transaction: Transaction, octets: Octets) -> Reply:
    """Have the message kept, durably, and give the 250 that promises it."""
    full = _full(state, transaction, octets.size)
    if full and len(full) == len(transaction.recipients):
        transaction.rules.append(("data", "quota", sorted(full), "defer"))
        return OVER_QUOTA
    envelope = _envelope(state, transaction, octets.size)
    committed = state.house.delivery.commit(envelope, octets, return_path_field(transaction.reverse_path))
    transaction.delivered = list(committed.delivered)
    _hand_over(state, transaction, octets)
    transaction.queued = [str(recipient.address) for recipient in committed.queued]
    return Reply(250, "2.0.0", f"accepted as {transaction.id}")


def _deliver_each(state: State, transaction: Transaction, octets: Octets) -> list[Reply]:
    """LMTP: one reply per accepted RCPT (RFC 2033 section 4.2); one that stands for several accounts is positive only
    when each of them has the message."""
    full = _full(state, transaction, octets.size)
    results: dict[str, Reply] = dict.fromkeys(full, OVER_QUOTA)
    if full:
        transaction.rules.append(("data", "quota", sorted(full), "defer"))
    accepted = Reply(250, "2.0.0", f"accepted as {transaction.id}")
    if len(full) < len(transaction.recipients):
        transaction.recipients = [one for one in transaction.recipients if one.account not in full]
        envelope = _envelope(state, transaction, octets.size)
        failures = state.house.delivery.commit_each(envelope, octets, return_path_field(transaction.reverse_path))
        for account, failure in failures.items():
            results[account] = accepted if failure is None else storage_reply(state, failure)
    transaction.delivered = [account for account, reply in results.items() if reply is accepted]
    _hand_over(state, transaction, octets)
    replies = []
    for path, accounts in transaction.forward_paths:
        reply = next((results[one] for one in accounts if results[one] is not accepted), accepted)
        replies.append(reply if reply is accepted else decision.refuse(state, "data", reply, path))
    return replies


def _hand_over(state: State, transaction: Transaction, octets: Octets) -> None:
    """A copy of what may be a report for us goes to whoever reads these."""
    if transaction.is_report and transaction.delivered and not transaction.mailbox and state.house.collector:
        state.house.collector.hand_over(transaction.id, octets)


def _full(state: State, transaction: Transaction, size: int) -> set[str]:
    """Accounts whose quota has no room for the message, now that its size is known."""
    quotas = transaction.quotas
    if not quotas:
        return set()
    return {name for name, limit in quotas.items() if not state.house.quota.room(name, limit, size)}


def _log_received(state: State, transaction: Transaction, size: int) -> None:
    """The message is durable: count it and write the line that says so."""
    house = state.house
    count = house.throttle.count
    count("messages")
    count("message_octets", size)
    count("recipients", len(transaction.forward_paths))
    if transaction.queued:
        count("messages_queued")
    state.messages += 1
    events.received(
        house.log,
        id=transaction.id,
        client=state.peer.client,
        helo=state.helo,
        protocol=with_protocol(state, transaction.parameters.smtputf8),
        tls=state.tls_text,
        account=state.account,
        from_=decision.path_text(transaction.reverse_path),
        size=size,
        recipients=len(transaction.forward_paths),
        seconds=round(house.clock.monotonic() - transaction.started, 3),
    )
