"""A manual page as the house tests see it: the tagged items of its outermost lists, by section and subsection.

Read from mdoc(7) source: `.Sh` and `.Ss` open a section and a subsection, `.It` of a list that stands in no other list
is an item, and its tag is its first word that is not a macro.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.house.source import TOP

PAGES = sorted((TOP / "man").glob("*.[1-8]"))


@dataclass(frozen=True)
class Item:
    """A tag and where it stands."""

    section: str
    subsection: str
    tag: str
    line: int


@dataclass(frozen=True)
class Heading:
    """A section or a subsection."""

    title: str
    line: int


def _clean(words: str) -> list[str]:
    r"""The words of a request's arguments without macros, quotes and escapes such as \&."""
    plain = re.sub(r"\\(?:[&e]|\(..|\[[^]]*\])", "", words.replace(r"\-", "-")).replace('"', "")
    return [word for word in plain.split() if not re.fullmatch(r"[A-Z][a-z][a-z]?", word)]


def read_page(path: Path) -> tuple[list[Heading], list[Item]]:
    """Headings and outermost items of a page."""
    headings: list[Heading] = []
    items: list[Item] = []
    section = subsection = ""
    depth = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        request, _, words = line.partition(" ")
        if request == ".Sh":
            section, subsection = " ".join(_clean(words)), ""
            headings.append(Heading(section, number))
        elif request == ".Ss":
            subsection = " ".join(_clean(words))
            headings.append(Heading(subsection, number))
        elif request == ".Bl":
            depth += 1
        elif request == ".El":
            depth -= 1
        elif request == ".It" and depth == 1 and (tag := _clean(words)):
            items.append(Item(section, subsection, tag[0].rstrip(",:="), number))
    return headings, items


def find_tags(page: str, section: str) -> dict[str, int]:
    """The tags of one section (its subsections included) of man/PAGE, each with its line; the section must be there."""
    headings, items = read_page(TOP / "man" / page)
    assert section in {heading.title for heading in headings}, f"man/{page} has no section {section}"
    return {item.tag: item.line for item in items if item.section == section}
