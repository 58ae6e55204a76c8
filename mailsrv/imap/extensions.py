"""The capabilities, one row each: when they may be told, and which dialogs prove them (RFC 9051 section 6.1.1).

A capability is told only where a file tests/cases/imap/NAME.dialog shows it; a row without dialogs is known to the
grammar and told to nobody. The twin test checks that each named file is there.

Diagnostics: raises nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mailsrv.imap.situation import Situation


@dataclass(frozen=True, slots=True)
class Capability:
    """`name` as it is told, with what `value` adds; `told` says whether it is now; `dialogs` prove it."""

    name: str
    dialogs: tuple[str, ...] = ()
    told: Callable[[Situation], bool] = lambda situation: True
    value: Callable[[Situation], str] | None = None


def _early(situation: Situation) -> bool:
    return not situation.authenticated


def _late(situation: Situation) -> bool:
    return situation.authenticated


def _compressible(situation: Situation) -> bool:
    return situation.authenticated and situation.offer.compress and not situation.compressed


CAPABILITIES = (
    Capability(
        "IMAP4rev2",
        ("rev2-mailboxes", "rev2-messages", "rev2-names", "rev2-select", "rev2-session", "search-rev2"),
    ),
    Capability(
        "IMAP4rev1",
        ("core-states", "append", "copy", "expunge", "fetch", "list", "mailboxes", "search", "select", "store"),
    ),
    # Before login
    Capability("STARTTLS", ("core-starttls",), lambda it: _early(it) and it.offer.starttls and not it.tls),
    Capability("LOGINDISABLED", ("core-login-disabled",), lambda it: _early(it) and not it.offer.login),
    Capability("SASL-IR", ("core-authenticate",), _early),
    # Always
    Capability("LITERAL+", ("core-literals",)),
    Capability("ID", ("core-id",)),
    Capability("ENABLE", ("core-enable",)),
    # After login: RFC 9051's own
    Capability("NAMESPACE", ("namespace",), _late),
    Capability("CHILDREN", ("children",), _late),
    Capability("IDLE", ("idle",), _late),
    Capability("UNSELECT", ("unselect",), _late),
    Capability("UIDPLUS", ("uidplus",), _late),
    Capability("MOVE", ("move",), _late),
    Capability("ESEARCH", ("esearch",), _late),
    Capability("SEARCHRES", ("searchres",), _late),
    Capability("LIST-EXTENDED", ("list-extended",), _late),
    Capability("LIST-STATUS", ("list-status",), _late),
    Capability("SPECIAL-USE", ("special-use",), _late),
    Capability("CREATE-SPECIAL-USE", ("create-special-use",), _late),
    Capability("STATUS=SIZE", ("status-size",), _late),
    Capability("BINARY", ("binary", "append"), _late),
    Capability("MULTIAPPEND", ("multiappend",), _late),
    Capability("APPENDLIMIT", ("append-limit",), _late, lambda it: f"={it.limits.message_size}"),
    Capability("UTF8=ACCEPT", ("utf8-accept",), _late),
    # Synchronisation and sharing
    Capability("CONDSTORE", ("condstore",), _late),
    Capability("QRESYNC", ("qresync",), _late),
    Capability("OBJECTID", ("objectid", "objectid-messages"), _late),
    Capability("SAVEDATE", ("savedate", "savedate-search"), _late),
    Capability("NOTIFY", ("notify", "notify-mailboxes"), _late),
    Capability("QUOTA", ("quota",), _late),
    Capability("QUOTA=RES-STORAGE", ("quota",), _late),
    Capability("QUOTA=RES-MESSAGE", ("quota",), _late),
    Capability("QUOTASET", ("quotaset",), _late),
    Capability("METADATA", ("metadata", "metadata-enable"), _late),
    Capability("METADATA-SERVER", ("metadata-server",), _late),
    Capability("LIST-METADATA", ("list-metadata",), _late),
    Capability("LIST-MYRIGHTS", ("list-myrights",), _late),
    Capability("ACL", ("acl", "sharing"), _late),
    Capability("RIGHTS=texk", ("acl", "sharing"), _late),
    # Convenience
    Capability("WITHIN", ("within",), _late),
    Capability("SORT", ("sort",), _late),
    Capability("SORT=DISPLAY", ("sort-display",), _late),
    Capability("ESORT", ("esort",), _late),
    Capability("THREAD=ORDEREDSUBJECT", ("thread-orderedsubject",), _late),
    Capability("THREAD=REFERENCES", ("thread-references",), _late),
    Capability("PREVIEW", ("preview",), _late),
    Capability("REPLACE", ("replace",), _late),
    Capability("MULTISEARCH", ("multisearch",), _late),
    Capability("COMPRESS=DEFLATE", ("core-compress",), _compressible),
    Capability("UNAUTHENTICATE", ("core-unauthenticate",), _late),
    Capability("PARTIAL", ("partial",), _late),
    Capability("UIDONLY", ("uidonly",), _late),
    Capability("INPROGRESS", ("inprogress",), _late),
)


def told(situation: Situation) -> str:
    """The capabilities that are told now, parted by spaces, those of SASL last."""
    names = [
        row.name + (row.value(situation) if row.value else "")
        for row in CAPABILITIES
        if row.dialogs and row.told(situation)
    ]
    if _early(situation):
        names += [f"AUTH={mechanism}" for mechanism in situation.offer.mechanisms]
    return " ".join(names)
