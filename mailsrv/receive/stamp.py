"""The Received field of one message, from what the session and the transaction know (RFC 5321 section 4.4).

A message that an account submits does not tell where its author sits: the `from` clause says `localhost`, a valid
domain that promises nothing, in place of the client's name and address.

Diagnostics: raises nothing.
"""

from mailsrv.mail.date import format_date
from mailsrv.mail.trace import from_clause, protocol, received_beginning, received_field
from mailsrv.receive.state import State, Transaction

_HIDDEN = ["localhost"]


def stamp(state: State, transaction: Transaction, now: float) -> bytes:
    """The field with its CRLF; `now` in seconds since the epoch."""
    smtputf8 = transaction.parameters.smtputf8
    beginning = state.stamps.get(smtputf8)
    if beginning is None:
        source = _HIDDEN if state.account else from_clause(state.helo, state.peer.client)
        hostname = state.house.config.hostname
        beginning = received_beginning(source, hostname, with_protocol(state, smtputf8), state.tls_text)
        state.stamps[smtputf8] = beginning
    paths = transaction.forward_paths
    only = paths[0][0] if len(paths) == 1 else None
    return received_field(beginning, transaction.id, only, smtputf8, format_date(now))


def with_protocol(state: State, smtputf8: bool) -> str:
    """The protocol's name for the `with` clause and the log."""
    return protocol(state.extended, state.tls is not None, bool(state.account), smtputf8, state.is_lmtp)
