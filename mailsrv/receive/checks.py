"""Which sessions are checked: mail that comes from elsewhere, from nobody who has logged in.

Diagnostics: raises nothing.
"""

from mailsrv.receive.state import State
from mailsrv.smtp.events import Kind


def is_checked(state: State) -> bool:
    """Whether this session's mail must show who sends it: SMTP from a client that is neither logged in nor exempt."""
    house = state.house
    return (
        state.peer.kind is Kind.SMTP
        and not state.account
        and house.lookups is not None
        and not house.exempts(state.peer.client)
    )
