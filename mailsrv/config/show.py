"""The configuration as text again: effective values as valid TOML, secrets hidden.

What is shown is what the server uses: defaults included, references replaced, ports by kind filled in. Comments and
order of the file are not kept.

Diagnostics: raises nothing.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from mailsrv.config.decode import keys_of
from mailsrv.config.schema import DEFAULT_PORTS, Config, ListenerConfig

HIDDEN = "(hidden)"

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def show(config: Config, changed_only: bool = False) -> str:
    """The whole configuration as TOML text; with `changed_only` the keys whose values differ from their defaults."""
    return "".join(f"{line}\n" for line in _show_table(config, "", changed_only)).lstrip("\n")


def _show_table(table: Any, prefix: str, changed_only: bool) -> Iterator[str]:
    """The lines of one table: its own keys first, as TOML wants, then the tables inside it."""
    inner: list[tuple[str, Any]] = []
    for name, key in keys_of(type(table)).items():
        value = getattr(table, name)
        if changed_only and _is_default(table, key, value):
            continue
        if isinstance(value, dict) or dataclasses.is_dataclass(value) or _is_array_of_tables(value):
            inner.append((name, value))
        elif key.metadata.get("secret") and value:
            yield f"{name} = {_show_value(HIDDEN)}"
        else:
            yield f"{name} = {_show_value(value)}"
    for name, value in inner:
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield f"\n[{path}]"
            for entry, item in value.items():
                yield f"{_show_key(entry)} = {_show_value(item)}"
        elif isinstance(value, list):
            for item in value:
                yield f"\n[[{path}]]"
                yield from _show_table(item, f"{path}.", changed_only)
        else:
            lines = list(_show_table(value, f"{path}.", changed_only))
            if lines:
                yield f"\n[{path}]"
                yield from lines


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and dataclasses.is_dataclass(value[0])


def _is_default(table: Any, key: dataclasses.Field[Any], value: Any) -> bool:
    if key.metadata.get("required"):
        return False
    if isinstance(table, ListenerConfig) and key.name == "port":
        return table.is_unix or value in (0, DEFAULT_PORTS.get(table.kind))
    if key.default_factory is not dataclasses.MISSING:
        return bool(value == key.default_factory())
    return bool(value == key.default)


def _show_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _show_value(key)


def _show_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_show_value(item) for item in value)}]"
    if isinstance(value, str):
        # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped; ${ must stay what it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").replace("${", "$${")
    return str(value).lower() if isinstance(value, bool) else str(value)
