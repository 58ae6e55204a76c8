"""The manual pages against the code: what the code knows is documented, and nothing else is.

    mailsrv.toml(5)  keys: tags of the outermost lists; a heading with `[table]` or `[[table]]` says of which table
    mailsrv(8)       commands: tags of the section COMMANDS; exit codes: tags of the section EXIT STATUS
    mailsrv-log(5)   events: tags of the section EVENTS
"""

import dataclasses
import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.manual import PAGES, find_tags, read_page
from tests.house.source import TOP, expect_none

# Sections of mailsrv.toml(5) whose lists hold something other than keys.
NO_KEYS = {
    "NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO",
    "STANDARDS", "CAVEATS", "SECURITY CONSIDERATIONS", "VARIABLES", "SYNTAX",
}  # fmt: skip

TABLE = re.compile(r"\[\[?([a-z_.]+)\]\]?")


def compare(page: str, what: str, known: set[str], documented: dict[str, int]) -> list[str]:
    """A sentence for each of the code's names that the page lacks, and for each that only the page has."""
    missing = [f"man/{page}: {what} {name} is not documented" for name in sorted(known - set(documented))]
    strange = [
        f"man/{page}:{documented[name]}: documents {what} {name}, which does not exist"
        for name in sorted(set(documented) - known)
    ]
    return missing + strange


def find_keys(table: type, prefix: str = "") -> Iterator[str]:
    """Every key of the schema by its full name, tables included: limits, limits.recipients, tls.certificates."""
    types = typing.get_type_hints(table)
    for field in dataclasses.fields(table):
        if field.metadata.get("internal"):
            continue
        name = prefix + field.name
        yield name
        inner = [types[field.name], *typing.get_args(types[field.name])]
        for value in inner:
            if isinstance(value, type) and dataclasses.is_dataclass(value):
                yield from find_keys(value, f"{name}.")


def find_documented_keys(path: Path) -> dict[str, int]:
    """Every key that a page documents, by its full name, with its line."""
    headings, items = read_page(path)
    found = {table[1]: heading.line for heading in headings if (table := TABLE.search(heading.title))}
    for item in items:
        table = TABLE.search(item.subsection) or TABLE.search(item.section)
        own = TABLE.fullmatch(item.tag)
        if own:
            found.setdefault(own[1], item.line)
        elif table:
            found[f"{table[1]}.{item.tag}"] = item.line
        elif item.section not in NO_KEYS:
            found[item.tag] = item.line
    return found


def test_every_configuration_key() -> None:
    from mailsrv.config.schema import Config

    page = TOP / "man" / "mailsrv.toml.5"
    documented = find_documented_keys(page)
    # The keys of a free table are addresses and domains, not names of ours.
    free = {name for name, kind in typing.get_type_hints(Config).items() if typing.get_origin(kind) is dict}
    documented = {key: line for key, line in documented.items() if key.partition(".")[0] not in free or key in free}
    expect_none(compare(page.name, "key", set(find_keys(Config)), documented))


def test_every_command() -> None:
    from mailsrv.cli.mailsrv import COMMANDS

    expect_none(compare("mailsrv.8", "command", set(COMMANDS), find_tags("mailsrv.8", "COMMANDS")))


def test_every_exit_code() -> None:
    from mailsrv.cli.program import INTERRUPTED, UNREAD
    from mailsrv.errors import Exit

    known = {str(int(code)) for code in (*Exit, INTERRUPTED, UNREAD)}
    expect_none(compare("mailsrv.8", "exit code", known, find_tags("mailsrv.8", "EXIT STATUS")))


def test_every_way_to_look_at_the_queue() -> None:
    from mailsrv.cli.mailq import _make_parser
    from mailsrv.cli.queue_table import KEYS

    known = {option for action in _make_parser()._actions for option in action.option_strings}
    documented = find_tags("mailq.1", "OPTIONS") | find_tags("mailq.1", "SELECTORS")
    # The page writes `--json` as `Fl Fl json`, which is read as its word.
    expect_none(compare("mailq.1", "option", {o.lstrip("-") for o in known} - {"h", "help", "version"}, documented))
    text = (TOP / "man" / "mailq.1").read_text(encoding="utf-8")
    expect_none([f"man/mailq.1: --by {name} is not documented" for name in KEYS if f".Li {name}" not in text])


def test_every_action_on_the_queue() -> None:
    from mailsrv.cli.mailrun import MESSAGE_ACTIONS, OTHER_ACTIONS

    known = {*MESSAGE_ACTIONS, *OTHER_ACTIONS}
    expect_none(compare("mailrun.8", "action", known, find_tags("mailrun.8", "ACTIONS")))


def test_every_log_event() -> None:
    from mailsrv.system.events import EVENTS

    expect_none(compare("mailsrv-log.5", "event", set(EVENTS), find_tags("mailsrv-log.5", "EVENTS")))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_headed_by_its_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    section = path.suffix[1:]
    assert f"\n.Dt {path.stem.upper()} {section}\n" in text
    titles = [heading.title for heading in read_page(path)[0]]
    assert titles[0] == "NAME"
    assert re.search(r"^\.Nd \S", text, re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_references_lead_to_a_page(path: Path) -> None:
    ours = {page.name for page in PAGES}
    expect_none([
        f"man/{path.name}: refers to {name}({section}), and there is no man/{name}.{section}"
        for name, section in re.findall(r"^\.Xr (mailsrv\S*) (\d)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if f"{name}.{section}" not in ours
    ])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    "command",
    [["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-mdoc", "-wall", "-Tutf8"]],
    ids=lambda command: str(command[0]),
)
def test_a_page_renders_without_warnings(command: list[str], path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([*command, path.name], cwd=path.parent, capture_output=True, text=True, check=False)
    said = done.stderr if command[0] == "groff" else done.stdout + done.stderr
    expect_none(said.splitlines())


PAGE = r"""
.Sh DESCRIPTION
.Bl -tag -width Ds
.It Va nothing
.El
.Sh KEYS
.Bl -tag -width Ds
.It Ic hostname Ns = Ns Ar string
.It Va kind : Li smtp
.Bl -tag -width Ds
.It Li inner
.El
.El
.Ss Table [limits]
.Bl -tag -width Ds
.It Ic message_size
.El
.Ss \&[[accounts]]
.Bl -tag -width Ds
.It Sy name ,
.El
"""


def test_a_page_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "page.5"
    path.write_text(PAGE)
    assert set(find_documented_keys(path)) == {
        "hostname", "kind", "limits", "limits.message_size", "accounts", "accounts.name",
    }  # fmt: skip


def test_both_kinds_of_difference_are_told() -> None:
    faults = compare("x.5", "key", {"a", "b"}, {"b": 3, "c": 7})
    assert faults == ["man/x.5: key a is not documented", "man/x.5:7: documents key c, which does not exist"]
