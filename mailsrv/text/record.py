"""Records: frozen dataclasses as JSON objects and back, strictly, for everything that is kept in a file.

A field that has its default is left out when a record is written, and an absent key means the default; an unknown key,
a missing one or a value of another type is refused. Values of a type that is no dataclass (an address) go through a
Codec. JSON is RFC 8259, with its advice taken as law: no key twice (section 4), no numbers that are none (section 6).

Diagnostics: reading raises GrammarError with the key's path and what is wrong there; writing raises TypeError for a
type that no record can have, which is a mistake in the program.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mailsrv.errors import GrammarError

Value = TypeVar("Value")
_Load = Callable[[object, str], Any]
_Dump = Callable[[Any], object]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Codec:
    """How a value of one type becomes a text and back; `load` raises GrammarError."""

    dump: Callable[[Any], str]
    load: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a record: its key, its default (MISSING without one), and both ways."""

    key: str
    default: object
    dump: _Dump
    load: _Load


def write_json(value: Mapping[str, object]) -> bytes:
    """One line of JSON in ASCII, without a line end; keys stay in order."""
    return _encode(value).encode("ascii")


def read_json(octets: bytes) -> dict[str, object]:
    """Read one JSON object; GrammarError for anything else."""
    try:
        value = json.loads(octets.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise GrammarError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise GrammarError("not a JSON object")
    return value


class Records:
    """Reads and writes records; `codecs` says how values of further types are written."""

    def __init__(self, codecs: Mapping[type, Codec] | None = None) -> None:
        self._codecs = dict(codecs or {})
        self._fields: dict[type, tuple[_Field, ...]] = {}

    def dump(self, record: object) -> dict[str, object]:
        """The record as a JSON object, without the fields that have their defaults."""
        result = {}
        for field in self._fields_of(type(record)):
            value = getattr(record, field.key)
            if field.default is dataclasses.MISSING or value != field.default:
                result[field.key] = field.dump(value)
        return result

    def load(self, kind: type[Value], value: object, where: str = "") -> Value:
        """A record of this kind from a JSON object; `where` is its place, for error texts."""
        if not isinstance(value, dict):
            raise GrammarError(f"{where or 'the record'}: must be an object")
        fields = self._fields_of(kind)
        unknown = value.keys() - {field.key for field in fields}
        if unknown:
            raise GrammarError(f"{where}{'.' if where else ''}{min(unknown)}: unknown key")
        given = {}
        for field in fields:
            place = f"{where}.{field.key}" if where else field.key
            if field.key in value:
                given[field.key] = field.load(value[field.key], place)
            elif field.default is dataclasses.MISSING:
                raise GrammarError(f"{place}: missing")
        return kind(**given)

    def keys(self, kind: type) -> list[str]:
        """The keys of a record of this kind, in order."""
        return [field.key for field in self._fields_of(kind)]

    def _fields_of(self, kind: type) -> tuple[_Field, ...]:
        known = self._fields.get(kind)
        if known is None:
            if not dataclasses.is_dataclass(kind):
                raise TypeError(f"{kind} is no record")
            hints = typing.get_type_hints(kind)
            known = tuple(
                _Field(field.name, field.default, *self._ways(hints[field.name])) for field in dataclasses.fields(kind)
            )
            self._fields[kind] = known
        return known

    def _ways(self, hint: Any) -> tuple[_Dump, _Load]:
        """How a value of this type is written and read."""
        if hint in _PLAIN:
            return _same, _PLAIN[hint]
        if hint in self._codecs:
            return self._codecs[hint].dump, self._through(self._codecs[hint])
        if dataclasses.is_dataclass(hint):
            return self.dump, lambda value, where: self.load(typing.cast(type, hint), value, where)
        parts = typing.get_args(hint)
        if typing.get_origin(hint) is tuple and len(parts) == 2 and parts[1] is Ellipsis:
            return self._several(*self._ways(parts[0]))
        if isinstance(hint, types.UnionType) and len(parts) == 2 and parts[1] is types.NoneType:
            return self._or_null(*self._ways(parts[0]))
        raise TypeError(f"{hint} cannot be part of a record")

    @staticmethod
    def _through(codec: Codec) -> _Load:
        def load(value: object, where: str) -> Any:
            text = _text(value, where)
            try:
                return codec.load(text)
            except GrammarError as error:
                raise GrammarError(f"{where}: {error}") from None

        return load

    @staticmethod
    def _several(dump: _Dump, load: _Load) -> tuple[_Dump, _Load]:
        def load_all(value: object, where: str) -> tuple[Any, ...]:
            if not isinstance(value, list):
                raise GrammarError(f"{where}: must be an array")
            return tuple(load(part, f"{where}[{number}]") for number, part in enumerate(value))

        return lambda values: [dump(value) for value in values], load_all

    @staticmethod
    def _or_null(dump: _Dump, load: _Load) -> tuple[_Dump, _Load]:
        return (
            lambda value: None if value is None else dump(value),
            lambda value, where: None if value is None else load(value, where),
        )


def _same(value: Any) -> object:
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise GrammarError(f"{where}: must be a text")
    return value


def _whole(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise GrammarError(f"{where}: must be a whole number")
    return value


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise GrammarError(f"{where}: must be a number")
    try:
        return float(value)
    except OverflowError:
        raise GrammarError(f"{where}: is too great") from None


def _truth(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise GrammarError(f"{where}: must be true or false")
    return value


_PLAIN: dict[Any, _Load] = {str: _text, int: _whole, float: _number, bool: _truth}


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return result


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number")
