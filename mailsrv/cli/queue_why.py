"""`mailq --why DOMAIN`: when mail for a domain will be tried next, and why not now.

Three sources are read: the queue, the configuration, and what the runner said last of its next hops (run/hops).

Diagnostics: raises nothing; a domain without queued mail is an answer too.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from mailsrv.cli.control import span
from mailsrv.cli.queue_place import Place
from mailsrv.cli.queue_selectors import error_of, status_of
from mailsrv.cli.queue_table import clean
from mailsrv.deliver.route import HopKind, NextHop, Router
from mailsrv.mail.address import domain_key
from mailsrv.spool.hops import HopState, read_hops
from mailsrv.spool.paused import Paused
from mailsrv.spool.summary import Summary


def explain(place: Place, domain: str, summaries: Sequence[Summary]) -> list[str]:
    """Lines for people. `summaries` are the messages with a recipient in the domain that waits."""
    key = domain_key(domain)
    hops = _find_hops(place, key, summaries)
    now = place.clock.now()
    lines = [f"{clean(key)}: {_count(summaries, key)}"]
    known = read_hops(place.disk, place.layout)
    paused = Paused(place.disk, place.layout)
    is_stopped = False
    for hop in hops:
        route = "its MX hosts" if hop.kind is HopKind.DIRECT and not hop.configured else str(hop)
        if hop.kind is HopKind.LOCAL:
            route = "accounts of this server"
        lines.append(f"next hop: {route}, TLS {hop.level.word}")
        if pause := paused.find(str(hop)):
            why = f": {clean(pause.reason)}" if pause.reason else ""
            lines.append(f"paused since {pause.since}{why}; `mailrun resume {hop}` lets it go")
            is_stopped = True
        if state := known.get(str(hop)):
            lines += _describe(state, now)
    if place.config.queue.hold and not all(hop.kind is HopKind.LOCAL for hop in hops):
        lines.append("queue.hold is set in the configuration: nothing is sent to other servers")
        is_stopped = True
    return lines + _schedule(summaries, key, now, is_stopped)


def _find_hops(place: Place, key: str, summaries: Sequence[Summary]) -> list[NextHop]:
    """Where mail for the domain goes; routes of accounts make it several."""
    router = Router(place.config)
    accounts = {summary.envelope.account for summary in summaries} or {""}
    return list(dict.fromkeys(router.route_domain(key, account) for account in sorted(accounts)))


def _count(summaries: Sequence[Summary], key: str) -> str:
    if not summaries:
        return "nothing is queued"
    counts = Counter(status_of(summary) for summary in summaries)
    recipients = sum(_is_of(summary, index, key) for summary in summaries for index in summary.waiting)
    states = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"{len(summaries)} messages for {recipients} recipients wait ({states})"


def _describe(state: HopState, now: float) -> list[str]:
    lines = []
    if state.threads or state.waiting:
        lines.append(f"connections now: {state.threads}; jobs that wait for one: {state.waiting}")
    if state.failures:
        lines.append(f"failed {state.failures} times in a row, the last error: {clean(state.error)}")
        if state.not_before > now:
            left = span(state.not_before - now)
            lines.append(f"left alone until {_time(state.not_before)} (in {left}); `mailrun retry` does not wait")
    return lines


def _schedule(summaries: Sequence[Summary], key: str, now: float, is_stopped: bool) -> list[str]:
    """The next attempt, and what the last one said."""
    lines = []
    ready = [summary for summary in summaries if status_of(summary) in ("new", "deferred")]
    if ready and not is_stopped:
        first = min(ready, key=lambda summary: summary.next_attempt)
        left = first.next_attempt - now
        when = f"at {_time(first.next_attempt)} (in {span(left)})" if left > 0 else "now, as soon as a runner looks"
        lines.append(f"next attempt: {when}, message {first.id}")
    elif summaries and not is_stopped and all(status_of(summary) == "held" for summary in summaries):
        lines.append("all messages are held; `mailrun release` lets them go")
    errors = [
        (summary.outcomes[index].at, error_of(summary.outcomes[index]))
        for summary in summaries
        for index in summary.waiting
        if index in summary.outcomes and _is_of(summary, index, key)
    ]
    if errors:
        at, error = max(errors)
        lines.append(f"last error, at {_time(at)}: {clean(error)}")
    return lines


def _is_of(summary: Summary, index: int, key: str) -> bool:
    return domain_key(summary.envelope.recipients[index].address.domain) == key


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"
