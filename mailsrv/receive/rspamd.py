"""Asks rspamd by its HTTP protocol: POST /checkv2 with the message, the envelope in header fields, JSON in return.

rspamd's actions become ours: reject refuses with its own words (550 5.7.1); soft reject and greylist defer (451 4.7.1);
add header, rewrite subject, quarantine and discard mean Junk; everything else accepts. Fields that it wants to add come
on top. What would change the message or its envelope is not done, and said in the finding.

Diagnostics: `Rspamd.scan` raises FilterFailed for a response that is none of rspamd's; HttpFailed becomes that, too;
Unreachable, Lost, TimedOut, DnsFailure from the connection, StorageError from the scratch.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from mailsrv.system.bounded import TimeLimit, open_tcp
from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import Resolver
from mailsrv.system.fetch import HttpFailed, HttpRequest, HttpResponse, fetch
from mailsrv.config.schema import FilterConfig
from mailsrv.receive.filter import (
    MAX_SYMBOLS,
    Action,
    Fields,
    FilterFailed,
    FilterFinding,
    FilterMessage,
    clean,
    refusal,
    symbol,
)

RESPONSE_LIMIT = 1 << 20  # octets
SPAM = "the content filter takes this for spam"
LATER = "the content filter wants this later, try again"

_HTTP_PORT = 80
# Octets of the fields that tell the recipients. rspamd takes 80 KiB of head and hangs up on more, so that whoever names
# enough recipients would not be judged.
_MOST_RECIPIENTS = 32_768
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")

_ACTIONS = {
    "no action": Action.ACCEPT,
    # Its greylisting makes this "soft reject" while it works; without it nobody would remember who has come back.
    "greylist": Action.ACCEPT,
    "soft reject": Action.DEFER,
    "add header": Action.JUNK,
    "rewrite subject": Action.JUNK,
    "quarantine": Action.JUNK,
    "discard": Action.JUNK,
    "reject": Action.REJECT,
}
_REPLIES = {Action.DEFER: (451, "4.7.1", LATER), Action.REJECT: (550, "5.7.1", SPAM)}
# What a response may ask for beside fields, and what is never done: each is named in the finding.
_NOT_DONE = ("remove_headers", "change_from", "add_rcpt", "del_rcpt")


class Rspamd:
    """One rspamd worker (normal, or controller with the password). A connection per message."""

    name = "rspamd"

    def __init__(self, config: FilterConfig, clock: Clock, resolver: Resolver | None) -> None:
        url = urlsplit(config.rspamd)
        self._host = url.hostname or ""
        self._port = url.port or _HTTP_PORT
        self._authority = url.netloc.rpartition("@")[2]
        self._target = f"{url.path.rstrip('/')}/checkv2"
        self._password = config.password
        self._seconds = config.timeout_seconds
        self._clock = clock
        self._resolver = resolver

    def scan(self, message: FilterMessage) -> FilterFinding:
        """See Scanner."""
        octets = message.octets
        request = HttpRequest(
            "POST", self._authority, self._target, self._fields(message), octets.blocks(), octets.size
        )
        limit = TimeLimit(self._clock, self._seconds)
        with open_tcp(self._host, self._port, limit, self._resolver) as connection:
            try:
                response = fetch(connection, request, RESPONSE_LIMIT)
            except HttpFailed as error:
                raise FilterFailed(str(error)) from None
        return read_response(response, message.hostname)

    def _fields(self, message: FilterMessage) -> tuple[tuple[str, str], ...]:
        version, _, cipher = message.tls.partition(" ")
        fields = [
            ("User-Agent", "mailsrv"),
            ("Queue-Id", message.id),
            ("MTA-Name", message.hostname),
            ("IP", "" if message.client == "local" else message.client),
            ("Hostname", message.client_name),
            ("Helo", message.helo),
            ("User", message.account),
            ("From", f"<{message.reverse_path}>"),
            *(("Rcpt", f"<{recipient}>") for recipient in _first(message.recipients)),
            ("TLS-Version", version.replace("TLS", "TLSv")),
            ("TLS-Cipher", cipher),
            ("Password", self._password),
        ]
        return tuple((name, _CONTROLS.sub("?", value)) for name, value in fields if value)


def _first(recipients: Sequence[str]) -> Iterator[str]:
    """As many recipients as there is room for."""
    left = _MOST_RECIPIENTS
    for recipient in recipients:
        left -= len(recipient.encode()) + len("Rcpt: <>\r\n")
        if left < 0:
            return
        yield recipient


def read_response(response: HttpResponse, hostname: str) -> FilterFinding:
    """What a response says to a server of this name. Raises FilterFailed."""
    answer = _parse(response.body)
    if response.status != 200:
        said = answer.get("error") if answer else None
        raise FilterFailed(f"it answered {response.status} {said if isinstance(said, str) else response.reason}")
    if answer is None:
        raise FilterFailed("the response is no JSON object")
    asked = _get(answer, "action", str)
    if asked is None:
        raise FilterFailed("the response names no action")
    fields = Fields(hostname)
    milter: Mapping[str, Any] = _get(answer, "milter", dict) or {}
    _add_fields(fields, milter)
    for key in _NOT_DONE:
        if milter.get(key):
            fields.refuse(key)
    action = _action(asked, milter, fields)
    if action is Action.JUNK and _get(answer, "subject", str):
        fields.refuse("subject")
    said = _get(_get(answer, "messages", dict) or {}, "smtp_message", str) or ""
    if action in _REPLIES:
        finding = refusal(*_REPLIES[action][:2], said, _REPLIES[action][2])
    else:
        finding = FilterFinding(action, reason=clean(said) or clean(asked))
    return fields.onto(_with_scores(finding, answer))


def _parse(body: bytes) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _get(answer: Mapping[str, Any], key: str, kind: type) -> Any:
    """The value of a key, None when there is none. Raises FilterFailed when it is of another kind."""
    value = answer.get(key)
    if value is not None and not isinstance(value, kind):
        raise FilterFailed(f"{key} in the response is no {kind.__name__}")
    return value


def _number(answer: Mapping[str, Any], key: str) -> float | None:
    value = answer.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FilterFailed(f"{key} in the response is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FilterFailed(f"{key} in the response is no number")
    return number


def _action(asked: str, milter: Mapping[str, Any], fields: Fields) -> Action:
    if milter.get("no_action") is True:
        fields.add("X-Rspamd-Action", asked)
        return Action.ACCEPT
    if asked == "reject" and milter.get("reject") in ("discard", "quarantine"):
        return Action.JUNK
    if asked not in _ACTIONS:
        # An action of the operator's own making, which no mail server knows.
        fields.refuse(f"action {asked}")
        return Action.ACCEPT
    return _ACTIONS[asked]


def _add_fields(fields: Fields, milter: Mapping[str, Any]) -> None:
    """The fields of milter.add_headers: each a text, an object with value and order, or a list of these; those with the
    least order first, those without one last."""
    wanted: list[tuple[float, str, str]] = []
    for name, given in (_get(milter, "add_headers", dict) or {}).items():
        for one in given if isinstance(given, list) else [given]:
            value = one.get("value") if isinstance(one, dict) else one
            if not isinstance(value, str):
                raise FilterFailed(f"the field {name} in the response is no text")
            order = _number(one, "order") if isinstance(one, dict) else None
            wanted.append((math.inf if order is None or order < 0 else order, name, value))
    for _, name, value in sorted(wanted, key=lambda one: one[0]):
        fields.add(name, value)


def _with_scores(finding: FilterFinding, answer: Mapping[str, Any]) -> FilterFinding:
    symbols: list[tuple[float, str]] = []
    for name, one in (_get(answer, "symbols", dict) or {}).items():
        score = _number(one, "score") if isinstance(one, dict) else None
        symbols.append((score or 0.0, name))
    # Those that said most come first, so that they are there when there are too many.
    symbols.sort(key=lambda one: (-abs(one[0]), one[1]))
    return replace(
        finding,
        score=_number(answer, "score"),
        required=_number(answer, "required_score"),
        symbols=tuple(symbol(name, score) for score, name in symbols[:MAX_SYMBOLS]),
    )
