"""The verbs of the control socket: what `mailsrv status`, `ban` and the others ask, one row of VERBS each.

Diagnostics: raises nothing; an answer that says no has its complaints.
"""

import os
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from mailsrv import __version__
from mailsrv.errors import MailsrvError
from mailsrv.serve.bans import Ban, parse_network
from mailsrv.serve.control import Answer, Reply, Request, refuse
from mailsrv.serve.generation import IMAPD, kind_of
from mailsrv.serve.listeners import name_of
from mailsrv.system import events

if TYPE_CHECKING:
    from mailsrv.serve.supervisor import Supervisor

Verb = Callable[["Supervisor", Request, Reply], None]


def answer(supervisor: "Supervisor", request: Request, reply: Reply) -> None:
    """Do what a request asks and answer it, now or (reload) when it is done."""
    verb = VERBS.get(str(request.get("verb")))
    if verb is None:
        reply(refuse(f"the verbs are {', '.join(VERBS)}"))
        return
    try:
        verb(supervisor, request, reply)
    except MailsrvError as error:
        reply(refuse(*str(error).splitlines()))
    except Exception:
        # The net under a request: a bug here must not end the server with all its sessions.
        events.bug(supervisor.log, where="control", id="", traceback=traceback.format_exc())
        reply(refuse("an error of the server itself; its log has more"))


def _status(supervisor: "Supervisor", _request: Request, reply: Reply) -> None:
    now = supervisor.clock.monotonic()
    current = supervisor.current or supervisor.opening.first
    workers = [
        {
            "kind": kind_of(child.number),
            "number": child.number % IMAPD,
            "generation": generation.number,
            "pid": child.pid,
            "state": child.state.value,
            "seconds": round(now - child.since, 3),
        }
        for generation in supervisor.generations()
        for child in sorted(generation.children.values(), key=lambda child: child.number)
    ]
    found: Answer = {
        "ok": True,
        "version": __version__,
        "pid": os.getpid(),
        "state": supervisor.status(),
        "seconds": round(now - supervisor.began, 3),
        "config": supervisor.opening.options.config_path,
        "generation": current.number,
        "listeners": [name_of(listener.config) for listener in current.listeners],
        "workers": workers,
        "connections": supervisor.counts.total(),
        "totals": supervisor.counts.totals(),
        "bans": len(supervisor.bans.current()),
    }
    reply(found)


def _reload(supervisor: "Supervisor", _request: Request, reply: Reply) -> None:
    supervisor.reload(reply)


def _stop(supervisor: "Supervisor", request: Request, reply: Reply) -> None:
    reply({"ok": True, "pid": os.getpid()})
    supervisor.stop("asked by mailsrv stop", request.get("now") is True)


def _who(supervisor: "Supervisor", _request: Request, reply: Reply) -> None:
    sessions = [
        {
            "id": session.id,
            "kind": session.kind,
            "client": session.client,
            "account": session.account,
            "seconds": round(supervisor.clock.now() - session.since, 3),
        }
        for session in supervisor.counts.sessions()
    ]
    reply({"ok": True, "sessions": sessions})


def _kick(supervisor: "Supervisor", request: Request, reply: Reply) -> None:
    id = str(request.get("id"))
    if id not in (session.id for session in supervisor.counts.sessions()):
        reply(refuse(f"there is no session {id}; `mailsrv who` lists them"))
        return
    supervisor.children.tell(f"kick {id}")
    reply({"ok": True})


def _ban_list(supervisor: "Supervisor", _request: Request, reply: Reply) -> None:
    reply({"ok": True, "bans": [_show(supervisor, ban) for ban in supervisor.bans.current()]})


def _ban_add(supervisor: "Supervisor", request: Request, reply: Reply) -> None:
    given = request.get("seconds")
    current = supervisor.current or supervisor.opening.first
    seconds = given if isinstance(given, int) and given > 0 else current.config.bans.ban_seconds
    ban = supervisor.bans.add(str(request.get("address")), seconds, str(request.get("reason") or "by hand"))
    events.ban(supervisor.log, address=ban.network, seconds=seconds, reason=ban.reason)
    reply({"ok": True, "ban": _show(supervisor, ban)})


def _ban_remove(supervisor: "Supervisor", request: Request, reply: Reply) -> None:
    address = parse_network(str(request.get("address")))
    removed = supervisor.bans.remove(address)
    # Its failed logins are forgotten too, or the next one would ban it again.
    supervisor.counts.forget(address)
    supervisor.children.tell(f"forget {address}")
    if not removed:
        reply(refuse(f"{address} is not banned; `mailsrv ban list` shows who is"))
        return
    events.unban(supervisor.log, address=address)
    reply({"ok": True})


def _level(supervisor: "Supervisor", request: Request, reply: Reply) -> None:
    word = str(request.get("level"))
    supervisor.log.set_level(word)
    supervisor.children.tell(f"level {word}")
    reply({"ok": True})


def _show(supervisor: "Supervisor", ban: Ban) -> Answer:
    seconds = round(ban.expires - supervisor.clock.now())
    return {"network": ban.network, "seconds": seconds, "reason": ban.reason}


VERBS: dict[str, Verb] = {
    "status": _status,
    "reload": _reload,
    "stop": _stop,
    "who": _who,
    "kick": _kick,
    "ban-list": _ban_list,
    "ban-add": _ban_add,
    "ban-remove": _ban_remove,
    "level": _level,
}
