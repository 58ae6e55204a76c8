"""Another next hop for one queued message, as `mailrun reroute` notes it in the message's journal.

The last note counts; one without text takes the earlier ones back. A next hop that the configuration names too is used
as it stands there, with its login and its TLS level. Recipients in accounts here are not rerouted.

Diagnostics: `read_reroute` raises GrammarError for a text that is no next hop; `find_reroute` raises nothing, since
what was noted had been read.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from mailsrv.config.next_hop import parse_next_hop
from mailsrv.config.schema import Config, RouteConfig
from mailsrv.deliver.route import Router
from mailsrv.errors import GrammarError
from mailsrv.spool.history import Note

REROUTE = "reroute"  # the action of the note


def read_reroute(text: str, config: Config) -> Router:
    """The routes of a message with this next hop; "" stands for those of the configuration."""
    if not text:
        return Router(config)
    parse_next_hop(text)
    known = [route for route in config.routes if route.next_hop == text]
    route = replace(known[0], domains=[], accounts=[]) if known else RouteConfig(text)
    return Router(replace(config, routes=[route]))


def find_reroute(notes: Sequence[Note], config: Config) -> Router | None:
    """The Router for the message with these notes; None where the usual one is right."""
    text = next((note.text for note in reversed(notes) if note.action == REROUTE), "")
    if text:
        with suppress(GrammarError):
            return read_reroute(text, config)
    return None
