"""The log's vocabulary: every event that mailsrv writes, its level, its fields, and one function that writes it.

The set is small and closed: names, fields and their order are an interface (scripts, fail2ban), documented in
mailsrv-log(5) and compared with it by a test. A field means the same in every event. Where a session or a message is
concerned the event carries its id, the one that replies end with and that files are named after. An empty field is
left out of the line.

Diagnostics: raises nothing, as the log's `write` raises nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mailsrv.system.log import Log


@dataclass(frozen=True, slots=True)
class Event:
    """One word of the vocabulary: its usual level, its fields in the order of the line, and when it is written."""

    level: str
    fields: tuple[str, ...]
    meaning: str


# What each field means, in every event that has it.
FIELDS = {
    "account": "name of an account; at login, what the client gave as its name",
    "address": "IP address, or an IPv6 /64 network",
    "attempts": "how often the message was tried and had to wait again",
    "client": "IP address that the session comes from, or local",
    "commands": "commands of the session",
    "complaint": "file:line: key: what is wrong, what is right",
    "config": "path of the configuration",
    "delays": "seconds before the queue/in the queue/to connect/to transmit",
    "domain": "whose mail a DMARC report is about",
    "dsn": "enhanced status code (RFC 3463)",
    "end": "how the session ended: quit, closed (by the client), kicked, or a reason",
    "expires": "end of a certificate's validity, RFC 3339",
    "file": "path of a certificate or key",
    "from": "reverse-path; <> for the null one",
    "helo": "name that the client gave in HELO, EHLO or LHLO",
    "id": "id of the session (11 characters), or of the message (the session's id and more)",
    "kind": "kind of listener (smtp, submission, ...), of process, or of report (failed, delayed, ...; aggregate, ...)",
    "listeners": "where the server listens",
    "mailbox": "mailbox of the account, empty for INBOX",
    "mechanism": "SASL mechanism",
    "messages": "messages accepted in the session, or that a DMARC report tells of",
    "names": "names that a certificate is good for",
    "path": "file or directory",
    "pid": "process number",
    "protocol": "how the message came (RFC 3848): SMTP, ESMTP, ESMTPS, ESMTPSA, LMTP ...",
    "reason": "why, in words",
    "recipients": "how many recipients",
    "refused": "replies of the session that refused something",
    "relay": "next hop, host and address; local for an account",
    "reply": "the refusing reply as sent",
    "report": "id of a report, a message of its own",
    "result": "outcome of a login (ok, wrong, busy, banned) or of a reload (ok, refused)",
    "seconds": "how long it took, or how long a ban lasts",
    "size": "octets of the message",
    "stage": "what was refused: connect, mail, rcpt, data or login",
    "state": "what became of a process, of a certificate (loaded, kept), or of a DMARC report (queued, ...)",
    "status": "delivered, relayed, expanded, delayed or failed (RFC 3464)",
    "tls": "TLS version and cipher",
    "to": "forward-path",
    "traceback": "where in the code",
    "version": "version of mailsrv",
    "where": "part of the program",
    "workers": "how many processes serve",
}

EVENTS = {
    "received": Event(
        "info",
        ("id", "client", "helo", "protocol", "tls", "account", "from", "size", "recipients", "seconds"),
        "a message is durable and gets its 250",
    ),
    "refused": Event(
        "info",
        ("id", "client", "helo", "account", "stage", "from", "to", "reply"),
        "a reply refused a client, a sender, a recipient or a message",
    ),
    "attempt": Event(
        "info",
        ("id", "to", "account", "mailbox", "status", "relay", "delays", "dsn", "reason"),
        "one try to deliver to one account or recipient; level warning when its status is failed",
    ),
    "queued": Event("info", ("id", "recipients", "reason"), "a message lies in spool/queue for these recipients"),
    "report": Event(
        "info",
        ("id", "to", "kind", "report", "recipients", "reason"),
        "a report to the sender of a message lies in the queue",
    ),
    "finished": Event(
        "info",
        ("id", "recipients", "attempts", "seconds"),
        "a message left the queue: nothing more will be done about it",
    ),
    "held": Event("warning", ("id", "reason"), "a message was set aside in spool/hold"),
    "corrupt": Event("error", ("id", "path", "reason"), "a file in the spool cannot be used"),
    "session": Event(
        "info",
        ("id", "kind", "client", "helo", "account", "tls", "seconds", "commands", "messages", "refused", "end"),
        "a session ended",
    ),
    "login": Event(
        "info",
        ("id", "client", "kind", "account", "mechanism", "result"),
        "a client tried to log in; level notice unless its result is ok",
    ),
    "ban": Event("notice", ("address", "seconds", "reason"), "an address is shut out for a time"),
    "unban": Event("notice", ("address",), "a ban was taken back"),
    "start": Event("notice", ("version", "config", "pid"), "the supervisor starts"),
    "ready": Event("notice", ("listeners", "workers", "seconds"), "every listener is served"),
    "reload": Event(
        "notice", ("result", "reason"), "the configuration was read again; level error when it was refused"
    ),
    "stop": Event("notice", ("reason",), "the server ends"),
    "worker": Event(
        "info",
        ("kind", "pid", "state", "reason"),
        "a process was started, is ready, drains or ended; level warning when its state is died or backoff",
    ),
    "certificate": Event(
        "notice",
        ("file", "state", "reason", "names", "expires"),
        "a certificate is used; level error when changed files are wrong and the old one is kept",
    ),
    "feedback": Event(
        "info",
        ("id", "kind", "domain", "state", "to", "messages", "reason"),
        "a DMARC report is queued or is not made, or one of others was read; level notice when there is a reason",
    ),
    "unfiltered": Event("warning", ("id", "reason"), "the content filter gave no answer that can be used"),
    "quota": Event("notice", ("id", "account", "reason"), "somebody has set by IMAP what an account may store"),
    "storage": Event("error", ("path", "reason"), "the disk refused something"),
    "tls": Event("info", ("id", "client", "reason"), "a TLS handshake failed"),
    "bug": Event("error", ("where", "id", "traceback"), "the program went wrong; please report it"),
    "config": Event("error", ("complaint",), "one fault of the configuration; level notice for advice"),
}

_TROUBLED_WORKER = ("died", "backoff")


def delays(before: float, queue: float = 0.0, connect: float = 0.0, transmit: float = 0.0) -> str:
    """The stages of a delivery, in seconds, as `a/b/c/d`: before the queue, in it, to connect, to transmit."""
    return "/".join(
        "0" if stage < 0.0005 else f"{stage:.3f}".rstrip("0").rstrip(".") if stage < 100 else f"{stage:.0f}"
        for stage in (before, queue, connect, transmit)
    )


def received(
    log: Log,
    *,
    id: str,
    client: str,
    helo: str,
    protocol: str,
    tls: str,
    account: str,
    from_: str,
    size: int,
    recipients: int,
    seconds: float,
) -> None:
    """At the 250 that ends DATA or BDAT. `from_` is the reverse-path, `<>` when null."""
    log.write(
        "received",
        "info",
        {
            "id": id,
            "client": client,
            "helo": helo,
            "protocol": protocol,
            "tls": tls,
            "account": account,
            "from": from_,
            "size": size,
            "recipients": recipients,
            "seconds": seconds,
        },
    )


def refused(
    log: Log, *, id: str, client: str, helo: str, account: str, stage: str, from_: str, to: str, reply: str
) -> None:
    """A reply of 400 or more to a client, sender, recipient or message; `to` is empty but for a recipient."""
    log.write(
        "refused",
        "info",
        {
            "id": id,
            "client": client,
            "helo": helo,
            "account": account,
            "stage": stage,
            "from": from_,
            "to": to,
            "reply": reply,
        },
    )


def attempt(
    log: Log, *, id: str, to: str, account: str, mailbox: str = "", status: str, relay: str, delays: str, dsn: str,
    reason: str,
) -> None:  # fmt: skip
    """One try to deliver, per account or recipient; `delays` comes from the function of that name."""
    log.write(
        "attempt",
        "warning" if status == "failed" else "info",
        {
            "id": id,
            "to": to,
            "account": account,
            "mailbox": mailbox,
            "status": status,
            "relay": relay,
            "delays": delays,
            "dsn": dsn,
            "reason": reason,
        },
    )


def queued(log: Log, *, id: str, recipients: int, reason: str) -> None:
    """A message lies in spool/queue."""
    log.write("queued", "info", {"id": id, "recipients": recipients, "reason": reason})


def report(log: Log, *, id: str, to: str, kind: str, report: str, recipients: int, reason: str) -> None:
    """A report about a message is queued under the ID `report`, for its sender; `reason` is the first outcome told."""
    log.write(
        "report",
        "info",
        {"id": id, "to": to, "kind": kind, "report": report, "recipients": recipients, "reason": reason},
    )


def finished(log: Log, *, id: str, recipients: int, attempts: int, seconds: float) -> None:
    """A message left the queue; `seconds` since it was received."""
    log.write("finished", "info", {"id": id, "recipients": recipients, "attempts": attempts, "seconds": seconds})


def held(log: Log, *, id: str, reason: str) -> None:
    """A message was set aside in spool/hold."""
    log.write("held", "warning", {"id": id, "reason": reason})


def corrupt(log: Log, *, id: str, path: str, reason: str) -> None:
    """A file in the spool cannot be used; `path` is where it lies now."""
    log.write("corrupt", "error", {"id": id, "path": path, "reason": reason})


def session(
    log: Log,
    *,
    id: str,
    kind: str,
    client: str,
    helo: str,
    account: str,
    tls: str,
    seconds: float,
    commands: int,
    messages: int,
    refused: int,
    end: str,
) -> None:
    """A session ended; `end` says how: quit, closed, kicked, or a reason in words."""
    log.write(
        "session",
        "info",
        {
            "id": id,
            "kind": kind,
            "client": client,
            "helo": helo,
            "account": account,
            "tls": tls,
            "seconds": seconds,
            "commands": commands,
            "messages": messages,
            "refused": refused,
            "end": end,
        },
    )


def login(log: Log, *, id: str, client: str, kind: str, account: str, mechanism: str, result: str) -> None:
    """A client tried to log in; `account` is the name it gave, `result` ok, wrong, busy or banned."""
    log.write(
        "login",
        "info" if result == "ok" else "notice",
        {"id": id, "client": client, "kind": kind, "account": account, "mechanism": mechanism, "result": result},
    )


def ban(log: Log, *, address: str, seconds: float, reason: str) -> None:
    """An address or /64 network is shut out for `seconds`."""
    log.write("ban", "notice", {"address": address, "seconds": seconds, "reason": reason})


def unban(log: Log, *, address: str) -> None:
    """A ban was taken back."""
    log.write("unban", "notice", {"address": address})


def start(log: Log, *, version: str, config: str, pid: int) -> None:
    """The supervisor starts."""
    log.write("start", "notice", {"version": version, "config": config, "pid": pid})


def ready(log: Log, *, listeners: Sequence[str], workers: int, seconds: float) -> None:
    """Every listener is served; `listeners` as `kind address:port`."""
    log.write("ready", "notice", {"listeners": list(listeners), "workers": workers, "seconds": seconds})


def reload(log: Log, *, result: str, reason: str) -> None:
    """The configuration was read again; `result` is ok or refused."""
    log.write("reload", "notice" if result == "ok" else "error", {"result": result, "reason": reason})


def stop(log: Log, *, reason: str) -> None:
    """The server ends."""
    log.write("stop", "notice", {"reason": reason})


def worker(log: Log, *, kind: str, pid: int, state: str, reason: str) -> None:
    """What became of a process: started, ready, draining, ended, died, backoff."""
    level = "warning" if state in _TROUBLED_WORKER else "info"
    log.write("worker", level, {"kind": kind, "pid": pid, "state": state, "reason": reason})


def certificate(log: Log, *, file: str, state: str, reason: str, names: Sequence[str], expires: str) -> None:
    """A certificate is used (`state` loaded), or its changed files are wrong and the one in use is kept."""
    log.write(
        "certificate",
        "error" if state == "kept" else "notice",
        {"file": file, "state": state, "reason": reason, "names": list(names), "expires": expires},
    )


def feedback(
    log: Log, *, id: str, kind: str, domain: str, state: str, to: Sequence[str], messages: int, reason: str
) -> None:
    """A DMARC report of ours is queued or skipped, or one of others was read; `id` is the report's own."""
    log.write(
        "feedback",
        "notice" if reason else "info",
        {
            "id": id,
            "kind": kind,
            "domain": domain,
            "state": state,
            "to": list(to),
            "messages": messages,
            "reason": reason,
        },
    )


def unfiltered(log: Log, *, id: str, reason: str) -> None:
    """The content filter gave no answer for a message."""
    log.write("unfiltered", "warning", {"id": id, "reason": reason})


def quota(log: Log, *, id: str, account: str, reason: str) -> None:
    """An account may store more or less than before; `reason` says who has set what."""
    log.write("quota", "notice", {"id": id, "account": account, "reason": reason})


def storage(log: Log, *, path: str, reason: str) -> None:
    """The disk refused something."""
    log.write("storage", "error", {"path": path, "reason": reason})


def tls(log: Log, *, id: str, client: str, reason: str) -> None:
    """A TLS handshake failed."""
    log.write("tls", "info", {"id": id, "client": client, "reason": reason})


def bug(log: Log, *, where: str, id: str, traceback: str) -> None:
    """The program went wrong. `traceback` is cut at its beginning when it is long: its end says what happened."""
    log.write("bug", "error", {"where": where, "id": id, "traceback": traceback[-3000:]})


def config(log: Log, *, complaint: str) -> None:
    """One fault of the configuration."""
    log.write("config", "error", {"complaint": complaint})
