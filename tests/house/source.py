"""The modules of mailsrv as the house tests see them: path, dotted name and syntax tree; nothing is imported or run."""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "mailsrv"


@dataclass(frozen=True)
class Module:
    """One file of mailsrv/. `name` is dotted without the leading `mailsrv.`; a package's own file bears its name."""

    path: str
    name: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    @property
    def room(self) -> str:
        """The package right under mailsrv/ (or the module, for errors.py); empty for mailsrv/__init__.py."""
        return self.name.partition(".")[0]

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")


def parse(path: str, text: str) -> Module:
    """A module from its path relative to the checkout and its text."""
    parts = list(Path(path).with_suffix("").parts[1:])
    if parts[-1:] == ["__init__"]:
        parts.pop()
    return Module(path, ".".join(parts), text, ast.parse(text, path))


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the checkout, by path."""
    files = sorted(PACKAGE.rglob("*.py"))
    return tuple(parse(str(file.relative_to(TOP)), file.read_text(encoding="utf-8")) for file in files)


def report(faults: list[str]) -> str:
    """One fault a line."""
    return "\n".join(faults)


def expect_none(faults: list[str]) -> None:
    """Fail the test with the faults and nothing else: the place to look at is in their text, not in the test's code."""
    if faults:
        pytest.fail(report(faults), pytrace=False)
