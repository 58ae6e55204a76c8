"""Reading mailsrv.toml(5): the file, its syntax, its values, its checks, with every complaint from one pass.

The door to tomllib. A configuration with one complaint is not used at all: there is no partly right one.

Diagnostics: `load` and `load_with_warnings` raise ConfigError with every complaint, sorted by line; an unreadable file
is the only complaint without a line.
"""

import dataclasses
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from typing import Any, get_args

from mailsrv.errors import ConfigError
from mailsrv.config.check import check
from mailsrv.config.complaints import Complaints
from mailsrv.config.decode import decode, keys_of
from mailsrv.config.environment import is_reference, substitute
from mailsrv.config.lines import KeyPath, Lines
from mailsrv.config.schema import Config

_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(path: str, environ: Mapping[str, str]) -> Config:
    """The checked configuration in the file `path`; `environ` gives what `${NAME}` stands for. Raises ConfigError."""
    return load_with_warnings(path, environ)[0]


def load_with_warnings(path: str, environ: Mapping[str, str]) -> tuple[Config, list[str]]:
    """As `load`, together with what is allowed but hardly meant, one line each, sorted by line."""
    text, mode = _read_file(path)
    table = _parse(path, text)
    complaints = Complaints(path, Lines(text))
    secret = _find_secret(table)
    if secret is not None and mode & 0o077:
        complaints.add(
            secret,
            f"is a secret in a file that others can read (mode {mode:04o}), run chmod 600 {path} or write ${{NAME}}",
            usable=True,
        )
    config = decode(substitute(table, environ, (), complaints), complaints, path)
    check(config, complaints)
    if complaints.faults:
        raise ConfigError(complaints.faults)
    # A listener's port by default depends on its kind; whoever reads the configuration sees the number.
    listeners = [dataclasses.replace(listener, port=listener.effective_port) for listener in config.listeners]
    return dataclasses.replace(config, listeners=listeners), complaints.warnings


def _read_file(path: str) -> tuple[str, int]:
    """The text of the file and its permission bits, both of the same open file."""
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            octets = file.read()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}; name another file with --config"]) from None
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8 text, TOML must be"]) from None
    return text, mode


def _parse(path: str, text: str) -> dict[str, Any]:
    """The values of a TOML text; a syntax error ends everything, because nothing behind it can be trusted."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _WHERE.search(message)
        line, column = text.count("\n") + 1, ""
        if found is not None:
            message = message[: found.start()]
            if found[1]:
                line, column = int(found[1]), f" (column {found[2]})"
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        raise ConfigError([f"{path}:{line}: is not TOML: {message[:1].lower()}{message[1:]}{column}"]) from None
    except ValueError:
        # TOMLDecodeError is one too; this is Python, which reads no number of thousands of digits.
        raise ConfigError([f"{path}:1: has a number of too many digits, no key needs more than 19"]) from None
    except RecursionError:
        raise ConfigError([f"{path}:1: is nested too deeply, no key needs more than four levels"]) from None


def _find_secret(table: Mapping[str, Any], schema: type = Config, prefix: KeyPath = ()) -> KeyPath | None:
    """The first secret that lies in the file itself, in any table, before references are replaced."""
    for name, key in keys_of(schema).items():
        value = table.get(name)
        path = (*prefix, name)
        if key.metadata.get("secret"):
            if isinstance(value, str) and value and not is_reference(value):
                return path
            continue
        inner: Any = (*get_args(key.type), key.type)[0]
        if not (isinstance(inner, type) and dataclasses.is_dataclass(inner)):
            continue
        rows = [(path, value)]
        if isinstance(value, list):
            rows = [((*path, at), row) for at, row in enumerate(value)]
        for row_path, row in rows:
            if isinstance(row, dict) and (found := _find_secret(row, inner, row_path)):
                return found
    return None
