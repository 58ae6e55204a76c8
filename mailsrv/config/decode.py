"""From parsed TOML to the values of schema.py, strictly: no unknown key, no missing one, each value of its type and in
bounds.

Every fault is a complaint and reading goes on: a faulty value is replaced by an empty one of its type, so that the
checks that follow see a whole Config and leave out what has been complained about. What values mean together is not
judged here.

Diagnostics: raises nothing; complaints only.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from mailsrv.config.complaints import Complaints, name_key
from mailsrv.config.lines import KeyPath
from mailsrv.config.schema import Config

MAX_INTEGER = 2**63 - 1  # what TOML 1.0 asks a reader to understand

# What each type is called in a complaint, as the right answer.
_RIGHT = {str: "a string in quotes", int: "a whole number", bool: "true or false"}
# The same for what was found; bool before int, because True is an int in Python.
_FOUND = ((bool, "true or false"), (int, "a number"), (float, "a number with a fraction"), (str, "a string"))


def decode(table: Mapping[str, Any], complaints: Complaints, source: str) -> Config:
    """The whole file as a Config; `table` is what tomllib gave, references replaced."""
    config: Config = _read_table(Config, table, (), complaints)
    return dataclasses.replace(config, source=source)


def keys_of(schema: type) -> dict[str, dataclasses.Field[Any]]:
    """The keys that a table of the file may have, in the order of the schema."""
    return {key.name: key for key in dataclasses.fields(schema) if not key.metadata.get("internal")}


def _read_table(schema: type, table: Mapping[str, Any], path: KeyPath, complaints: Complaints) -> Any:
    keys = keys_of(schema)
    for name in table:
        if name not in keys:
            complaints.add((*path, name), _explain_unknown(name, keys, path))
    values = {}
    for name, key in keys.items():
        if name in table:
            values[name] = _read(key.type, table[name], (*path, name), key.metadata, complaints)
        elif key.metadata.get("required"):
            complaints.add((*path, name), f"is missing, must be given: {key.metadata['meaning']}")
            values[name] = _blank(key.type)
    return schema(**values)


def _read(kind: Any, value: Any, path: KeyPath, metadata: Mapping[str, Any], complaints: Complaints) -> Any:
    """One value of the type `kind`; what it is instead becomes a complaint and a blank."""
    inner = get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return _read_table(kind, value, path, complaints)
        wanted = f"a table, [{path[-1]}]"
        if isinstance(path[-1], int):  # an element of an array of tables
            wanted = f"a table, written [[{name_key(path)}]]"
        elif isinstance(value, list):
            wanted = f"one table, written [{path[-1]}] with single brackets"
    elif get_origin(kind) is list:
        if isinstance(value, list):
            return [_read(inner[0], item, (*path, at), metadata, complaints) for at, item in enumerate(value)]
        wanted = f"an array of {'numbers' if inner[0] is int else 'strings'}, in [ and ]"
        if dataclasses.is_dataclass(inner[0]):
            wanted = f"an array of tables, written [[{path[-1]}]] with double brackets"
        elif "aliases" in path and isinstance(value, str):  # one member needs no brackets
            return [value]
    elif get_origin(kind) is dict:
        if isinstance(value, dict):
            return {name: _read(inner[1], item, (*path, name), {}, complaints) for name, item in value.items()}
        wanted = f"a table, [{path[-1]}]"
    else:
        return _read_scalar(kind, value, path, metadata, complaints)
    complaints.add(path, f"is {_describe(value)}, must be {wanted}")
    return _blank(kind)


def _read_scalar(kind: type, value: Any, path: KeyPath, metadata: Mapping[str, Any], complaints: Complaints) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        complaints.add(path, f"is {_describe(value)}, must be {_RIGHT[kind]}")
        return kind()
    if kind is int:
        low, high = metadata.get("low", -MAX_INTEGER), metadata.get("high", MAX_INTEGER)
        if not low <= value <= high:
            bounds = f"from {low} to {high}" if "high" in metadata or value > high else f"at least {low}"
            complaints.add(path, f"is {value}, must be {bounds}")
    elif "choices" in metadata and value not in metadata["choices"]:
        words = [word for word in metadata["choices"] if word]
        near = difflib.get_close_matches(value, words, 1)
        hint = f" (nearest: {near[0]})" if near else ""
        complaints.add(path, f'"{value}" is not known, must be one of {", ".join(words)}{hint}')
    return value


def _blank(kind: Any) -> Any:
    """An empty value of a type, for what could not be read."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        required = {name: _blank(key.type) for name, key in keys_of(kind).items() if key.metadata.get("required")}
        return kind(**required)
    return (get_origin(kind) or kind)()


def _describe(value: Any) -> str:
    """What kind of thing a TOML value is."""
    for kind, words in _FOUND:
        if isinstance(value, kind):
            return words
    if isinstance(value, list):
        return "an array of tables" if value and all(isinstance(item, dict) for item in value) else "an array"
    return "a table" if isinstance(value, dict) else "a date or time"


def _explain_unknown(name: str, keys: Mapping[str, Any], path: KeyPath) -> str:
    """Say what an unknown key may have been meant to be: misspelt, or written under the wrong table."""
    tables = _tables()
    here = next(title for title, owner in tables.items() if owner.keys() == keys.keys())
    homes = [title for title, owner in tables.items() if name in owner and title != here]
    if homes:
        where = " or ".join(home or "the top of the file, before the first [table]," for home in homes)
        return f"is not known {f'in {here}' if here else 'at the top of the file'}, belongs to {where.rstrip(',')}"
    near = difflib.get_close_matches(name, keys, 1)
    if near:
        return f"is not known, the nearest known key is {near[0]}"
    prefix = f"under {here}" if here else "at the top"
    return f"is not known, the keys {prefix} are {', '.join(keys)}"


def _tables() -> dict[str, dict[str, dataclasses.Field[Any]]]:
    """Every table of the file by its title (`""`, `[limits]`, `[[accounts]]`) with its keys."""
    found = {"": keys_of(Config)}
    open_tables: list[tuple[str, type]] = [("", Config)]
    while open_tables:
        prefix, schema = open_tables.pop(0)
        for name, key in keys_of(schema).items():
            inner: Any = get_args(key.type)[0] if get_origin(key.type) is list else key.type
            if dataclasses.is_dataclass(inner) and isinstance(inner, type):
                title = f"[{prefix}{name}]" if inner is key.type else f"[[{prefix}{name}]]"
                found[title] = keys_of(inner)
                open_tables.append((f"{prefix}{name}.", inner))
    return found
