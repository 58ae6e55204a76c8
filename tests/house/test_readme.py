"""The README is read in a terminal: each part fits on one screen."""

import re

import pytest

from tests.house.source import TOP, expect_none

LINES = 24
COLUMNS = 80

PARTS = ["mailsrv", "The picture", "The two commands", "The floors", "What to read next"]


def read_parts() -> dict[str, str]:
    """Each part's text by its underlined heading."""
    pieces = re.split(r"^(\S.*)\n=+\n", (TOP / "README").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], (text.strip("\n") for text in pieces[2::2]), strict=True))


def test_the_parts_in_their_order() -> None:
    assert list(read_parts()) == PARTS


@pytest.mark.parametrize("part", PARTS)
def test_a_part_fits_on_a_screen(part: str) -> None:
    lines = read_parts()[part].splitlines()
    assert len(lines) + 2 <= LINES, f"{part}: {len(lines)} lines under the heading do not fit on one screen"
    expect_none([f"README, {part}: wider than {COLUMNS} columns: {line}" for line in lines if len(line) > COLUMNS])


def test_every_manual_page_is_named() -> None:
    text = read_parts()["What to read next"]
    expect_none([
        f"README does not name {page.stem}({page.suffix[1:]})"
        for page in sorted((TOP / "man").iterdir())
        if f"{page.stem}({page.suffix[1:]})" not in text
    ])
