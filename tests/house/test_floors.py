"""Floors and doors: imports point down only, and each part of the world has one door.

This file holds the only copy of both tables. A module may import its own package and lower floors; packages of one
floor do not know each other, but for the edges listed; the pure cores import nothing of `system`; a name behind a door
is imported or used by its door modules alone. Everything is read with `ast`, so that an import inside a function or
under TYPE_CHECKING counts as well.
"""

import ast

import pytest

from tests.house.source import Module, expect_none, modules, parse, report

FLOORS = {
    "": 0,  # mailsrv/__init__.py: the version
    "errors": 0,
    "system": 0,
    "text": 0,
    "mail": 1,
    "smtp": 2,
    "imap": 2,
    "sasl": 2,
    "authn": 2,
    "transport": 2,
    "config": 2,
    "spool": 3,
    "store": 3,
    "directory": 3,
    "receive": 4,
    "deliver": 4,
    "imapd": 4,
    "api": 4,
    "serve": 5,
    "cli": 6,
}

# Packages of one floor that may import another: from, to.
EDGES = {
    ("errors", ""),
    ("system", ""),
    ("text", ""),
    ("system", "errors"),
    ("text", "errors"),
    ("system", "text"),
}

# The protocol cores take and give values: no sockets, clocks, files.
PURE = {"smtp", "imap", "sasl"}

# What only its doors may import or use -> the doors: a module, or a room with a trailing dot. A dotted name is an
# attribute, found through `import` and `from ... import` alike.
DOORS: dict[str, tuple[str, ...]] = {
    # the clock
    "time": ("system.clock",),
    "datetime.datetime.now": ("system.clock",),
    "datetime.datetime.utcnow": ("system.clock",),
    "datetime.datetime.today": ("system.clock",),
    "datetime.date.today": ("system.clock",),
    # the log
    "logging": ("system.log",),
    "syslog": ("system.log",),
    # the disk
    "os.O_TMPFILE": ("system.disk",),
    "os.fdatasync": ("system.disk",),
    "os.fsync": ("system.disk",),
    "os.link": ("system.disk",),
    "os.rename": ("system.disk",),
    "os.renames": ("system.disk",),
    "os.replace": ("system.disk",),
    "os.sync": ("system.disk",),
    "shutil.move": ("system.disk",),
    "tempfile": ("system.disk",),
    "fcntl": ("system.lock",),
    "sqlite3": ("store.database", "directory.database"),
    "tomllib": ("config.load",),
    # the network
    "socket": ("system.dns_exchange", "system.net", "system.tls", "system.notify", "system.wake", "serve."),
    "socketserver": ("serve.",),
    # The standard library's client opens its own sockets: good enough for imports, which no message waits for.
    "imaplib": ("system.imap_client",),
    "ssl": ("system.net", "system.tls", "serve."),
    "dns": ("system.dns", "system.dns_exchange", "system.dns_reading", "system.dns_wire"),
    # randomness
    "os.getrandom": ("system.entropy",),
    "os.urandom": ("system.entropy",),
    "random": ("system.entropy",),
    "secrets": ("system.entropy",),
    "uuid": ("system.entropy",),
    # processes
    "multiprocessing": (),
    "os._exit": ("system.process", "serve."),
    "os.execv": ("system.process", "serve."),
    "os.execve": ("system.process", "serve."),
    "os.execvp": ("system.process", "serve."),
    "os.fork": ("system.process", "serve."),
    "os.forkpty": (),
    "os.kill": ("system.process", "serve."),
    "os.killpg": ("system.process", "serve."),
    "os.popen": (),
    "os.posix_spawn": ("system.process", "serve."),
    "os.system": (),
    "os.waitpid": ("system.process", "serve."),
    "subprocess": ("system.process", "serve."),
    # third parties and what is to be proven in one place
    "argon2": ("directory.passwords",),
    "cryptography": ("system.tls", "authn.keys", "transport.dane"),
    "dkim": (),  # for tests only, see setup.py
    "spf": ("authn.spf", "authn.spf_record"),
    # costs as much as everything else that a message passes through
    "email": (),
    # an import that the eye and this test cannot follow
    "importlib.import_module": ("cli.mailsrv",),
    "importlib.util": (),
}


def find_imports(module: Module) -> list[tuple[int, str]]:
    """Every import as (line, full dotted name), relative ones resolved; `from a import b` gives a.b."""
    base = ["mailsrv", *filter(None, module.name.split("."))]
    if not module.is_package:
        base.pop()
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ""
            if node.level:
                stem = ".".join([*base[: len(base) - node.level + 1], *filter(None, [stem])])
            found += [(node.lineno, f"{stem}.{alias.name}") for alias in node.names]
    return found


def find_names(module: Module) -> list[tuple[int, str]]:
    """Every use of an imported name as (line, full dotted name): os.fsync after `import os as o` and `o.fsync`."""
    bound = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute):
            continue
        tail = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            tail.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in bound:
            found.append((node.lineno, ".".join([bound[inner.id], *reversed(tail)])))
    return found


def check_floors(module: Module) -> list[str]:
    """The floor rules that a module breaks, one sentence each."""
    faults = []
    for line, name in find_imports(module):
        if name != "mailsrv" and not name.startswith("mailsrv."):
            continue
        room = name.split(".")[1]
        if room.startswith("__"):
            room = ""
        where = f"{module.path}:{line}: {module.room or 'mailsrv'}"
        if room not in FLOORS:
            faults.append(f"{where} imports {name}: {room} stands on no floor; give it one in the table of this test")
        elif room == module.room:
            continue
        elif module.room in PURE and room == "system":
            faults.append(f"{where} is a pure core and imports {name}: what it needs is handed in as a value")
        elif FLOORS[room] > FLOORS[module.room]:
            faults.append(
                f"{where} (floor {FLOORS[module.room]}) imports {name} (floor {FLOORS[room]}): imports point down only"
            )
        elif FLOORS[room] == FLOORS[module.room] and (module.room, room) not in EDGES:
            faults.append(
                f"{where} imports {name} of its own floor {FLOORS[room]}: have it handed in from a higher floor"
            )
    return faults


def is_door(module: Module, doors: tuple[str, ...]) -> bool:
    """Whether a module is one of the doors; `serve.` stands for every module of that room."""
    return any(module.name == door or door.endswith(".") and f"{module.name}.".startswith(door) for door in doors)


def check_doors(module: Module) -> list[str]:
    """The door rules that a module breaks, one sentence each."""
    faults = []
    for line, name in sorted(set(find_imports(module) + find_names(module))):
        for guarded, doors in DOORS.items():
            if (name == guarded or name.startswith(f"{guarded}.")) and not is_door(module, doors):
                through = ", ".join(f"mailsrv.{door}".rstrip(".") for door in doors) or "nothing"
                faults.append(f"{module.path}:{line}: {name}: only {through} may use {guarded}")
    return sorted(set(faults))


def test_imports_point_down() -> None:
    expect_none([
        f"{module.path}: give its package a floor in the table of this test"
        for module in modules()
        if module.room not in FLOORS
    ])
    expect_none([fault for module in modules() for fault in check_floors(module)])


def test_doors_are_kept() -> None:
    expect_none([fault for module in modules() for fault in check_doors(module)])


BROKEN = [
    ("mailsrv/spool/scan.py", "from mailsrv.serve.worker import run", "imports point down only"),
    ("mailsrv/spool/scan.py", "import mailsrv.store.account", "of its own floor 3"),
    ("mailsrv/spool/scan.py", "from ..store import account", "of its own floor 3"),
    ("mailsrv/spool/scan.py", "from mailsrv import cli", "imports point down only"),
    ("mailsrv/spool/scan.py", "from mailsrv.shed import spade", "stands on no floor"),
    ("mailsrv/smtp/session.py", "def now():\n    from mailsrv.system.clock import SystemClock", "pure core"),
    ("mailsrv/mail/date.py", "import time", "only mailsrv.system.clock may use time"),
    ("mailsrv/mail/date.py", "from time import monotonic", "only mailsrv.system.clock may use time"),
    ("mailsrv/mail/date.py", "from datetime import datetime as d\nd.now()", "datetime.datetime.now"),
    ("mailsrv/mail/date.py", "import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
    ("mailsrv/spool/scan.py", "import os as o\no.rename('a', 'b')", "only mailsrv.system.disk may use os.rename"),
    ("mailsrv/spool/scan.py", "from os import fsync as f", "only mailsrv.system.disk may use os.fsync"),
    ("mailsrv/authn/arc.py", "import spf", "only mailsrv.authn.spf, mailsrv.authn.spf_record may use spf"),
    ("mailsrv/cli/stop.py", "import subprocess", "only mailsrv.system.process, mailsrv.serve may use subprocess"),
    ("mailsrv/mail/header.py", "from email.utils import parseaddr", "only nothing may use email"),
]

SOUND = [
    ("mailsrv/spool/scan.py", "from mailsrv.system.disk import Disk\nfrom . import layout\nfrom .layout import queue"),
    ("mailsrv/smtp/session.py", "from mailsrv.errors import GrammarError\nfrom mailsrv.mail.reply import Reply"),
    ("mailsrv/mail/date.py", "from datetime import datetime\ndatetime.fromtimestamp(0)\nclock.now()"),
    ("mailsrv/system/clock.py", "import time\ntime.monotonic()"),
    ("mailsrv/serve/pump.py", "import socket\nfrom mailsrv import __version__"),
    ("mailsrv/authn/spf.py", "import spf"),
]


@pytest.mark.parametrize(("path", "text", "complaint"), BROKEN)
def test_a_breach_is_seen(path: str, text: str, complaint: str) -> None:
    module = parse(path, text)
    assert complaint in report(check_floors(module) + check_doors(module))


@pytest.mark.parametrize(("path", "text"), SOUND)
def test_what_is_allowed_passes(path: str, text: str) -> None:
    module = parse(path, text)
    assert check_floors(module) + check_doors(module) == []


def test_the_tables_agree() -> None:
    for lower, upper in EDGES:
        assert FLOORS[lower] == FLOORS[upper], f"{lower} and {upper} are on different floors: no edge is needed"
    assert {door.partition(".")[0] for doors in DOORS.values() for door in doors} <= set(FLOORS)
