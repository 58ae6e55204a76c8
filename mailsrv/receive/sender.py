"""MAIL: who may send with which reverse-path, and whether a message of this size can be taken at all.

An account sends with its own addresses only (RFC 6409 section 6.1). The null reverse-path is open to it as well: mail
programs need it for disposition notifications (RFC 8098 section 4), and the header's From must be the account's anyway.

Diagnostics: raises nothing; the answer is a Reply.
"""

from mailsrv.mail.reply import Reply
from mailsrv.receive import checks, decision
from mailsrv.receive.space import NO_ROOM
from mailsrv.receive.state import State, Transaction
from mailsrv.smtp.events import Mail

OK = Reply(250, "2.1.0", "sender ok")
NEEDS_LOGIN = Reply(530, "5.7.0", "authentication required")
NOT_OWNED = Reply(553, "5.7.1", "the sender address does not belong to the authenticated account")
TOO_BIG = Reply(552, "5.3.4", "the message exceeds the maximum size")
TOO_MANY = Reply(421, "4.7.0", "too many messages in one session, please connect again")


def answer_mail(state: State, event: Mail) -> Reply:
    """Decide on MAIL; a positive answer begins the state's transaction, a negative one is logged and recorded."""
    house = state.house
    transaction = Transaction(
        house.message_id(state.peer.session_id, state.sequence),
        house.clock.monotonic(),
        event.reverse_path,
        event.parameters,
    )
    state.sequence += 1
    reply = _decide(state, transaction)
    state.transaction = transaction
    if reply is not OK:
        decision.refuse(state, "mail", reply)
        decision.write(state, transaction, decision.verdict_of(reply), reply)
        state.transaction = None
    return reply


def _decide(state: State, transaction: Transaction) -> Reply:
    """Ask the rules in order; the first that refuses gives the reply."""
    limits = state.house.config.limits
    rules = transaction.rules
    size = transaction.parameters.size
    path = transaction.reverse_path
    if state.sequence > limits.messages:
        rules.append(("mail", "messages", state.sequence, "defer"))
        return TOO_MANY
    if state.account:
        if path is not None and not state.house.directory.owns(state.account, path):
            rules.append(("mail", "ownership", str(path), "reject"))
            return NOT_OWNED
        rules.append(("mail", "ownership", decision.path_text(path), "accept"))
    elif state.is_submission:
        rules.append(("mail", "login", "", "reject"))
        return NEEDS_LOGIN
    if size > limits.message_size:
        rules.append(("mail", "size", size, "reject"))
        return TOO_BIG
    if not state.house.space.has(size):
        rules.append(("mail", "space", size, "defer"))
        return NO_ROOM
    return checks.check_domain(state, transaction) or OK
