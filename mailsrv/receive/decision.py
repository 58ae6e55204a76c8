"""The decision record: what was asked and answered in one transaction, so that "why" has an answer later.

One record per transaction, refused ones included, as a value that turns into one JSON object (documented in
mailsrv-log(5)): `version` 1 first, then who, the envelope, each rule with its input and result, and the last reply.
Refusals are also written to the log here, so that both tell the same story. Nothing is decided in this module.

Diagnostics: raises nothing.
"""

from typing import Any

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import MailParameters, ReversePath
from mailsrv.mail.reply import Reply
from mailsrv.receive.state import State, Transaction
from mailsrv.system import events

VERSION = 1


def verdict_of(reply: Reply) -> str:
    """accept, defer or reject: the meaning of a reply's first digit (RFC 5321 section 4.2.1)."""
    return "accept" if reply.code < 400 else "defer" if reply.code < 500 else "reject"


def path_text(path: ReversePath) -> str:
    """A reverse-path for the log: the address, or `<>`."""
    return "<>" if path is None else str(path)


def refuse(state: State, stage: str, reply: Reply, forward_path: Address | None = None) -> Reply:
    """Write a refusal to the log; gives the reply back. `stage` is the command: connect, mail, rcpt, data, login."""
    transaction = state.transaction
    house = state.house
    house.throttle.count("replies_refused")
    events.refused(
        house.log,
        id=transaction.id if transaction else state.peer.session_id,
        client=state.peer.client,
        helo=state.helo,
        account=state.account,
        stage=stage,
        from_=path_text(transaction.reverse_path) if transaction else "",
        to=str(forward_path) if forward_path else "",
        reply=str(reply),
    )
    return reply


def write(state: State, transaction: Transaction, verdict: str, reply: Reply | None, size: int = 0) -> None:
    """Write the record of a transaction that is over. `verdict` is accept, defer, reject or abandoned (by the
    client)."""
    decisions = state.house.decisions
    if decisions is None:
        return
    parameters = transaction.parameters
    decisions.write(
        {
            "version": VERSION,
            "time": round(state.house.clock.now(), 3),
            "id": transaction.id,
            "session": state.peer.session_id,
            "kind": state.peer.kind.value,
            "client": state.peer.client,
            "helo": state.helo,
            "tls": state.tls_text,
            "account": state.account,
            "reverse_path": path_text(transaction.reverse_path),
            "parameters": _parameters(parameters),
            "recipients": _recipients(transaction),
            "size": size,
            "rules": [
                {"stage": stage, "rule": rule, "input": value, "result": result}
                for stage, rule, value, result in transaction.rules
            ],
            "verdict": verdict,
            "reply": str(reply) if reply else "",
            "delivered": transaction.delivered,
            "queued": transaction.queued,
        }
    )


def _parameters(parameters: MailParameters) -> dict[str, Any]:
    """What MAIL declared beyond the defaults."""
    if parameters == _NOTHING:
        return {}
    names = ("size", "body", "smtputf8", "ret", "envid")
    return {name: getattr(parameters, name) for name in names if getattr(parameters, name) != getattr(_NOTHING, name)}


def _recipients(transaction: Transaction) -> list[dict[str, Any]]:
    """Every RCPT: forward-path, rule that answered, accounts, and the reply where it was refused."""
    return [
        {"forward_path": str(path), "rule": rule, "accounts": accounts, "result": "accept"}
        if reply is None
        else {"forward_path": str(path), "rule": rule, "result": verdict_of(reply), "reply": str(reply)}
        for path, rule, accounts, reply in transaction.asked
    ]


_NOTHING = MailParameters()
