"""Form: what every module begins with, which names are taken, and that nothing is left for later or swallowed."""

import ast
import re
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, TOP, Module, expect_none, modules, parse, report

# Names that say where something lies and not what it is.
EMPTY_NAMES = {"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"}

# Python 3.11.2, which Debian 12 has, loses its place behind a possessive group that repeats: such a pattern may match
# what it must not, and the reverse. A possessive class is sound, and a plain group around one as fast.
POSSESSIVE_GROUP = re.compile(r"\)(?:\*|\+|\?|\{[0-9,]+\})\+")

# Python refuses to read a number of more than 4300 digits: in a stranger's text, digits are counted before int().
ANY_DIGITS = re.compile(r"(?:\\d|\[0-9\])[+*]|\.is(?:digit|decimal|numeric)\(\)")

# Modules that read numbers and let any count of digits in somewhere, and why. A row that is not needed fails too.
ANY_COUNT_OF_DIGITS: dict[str, str] = {
    "authn.signature": "a time of more than twelve digits is never",
    "authn.spf": "asks whether a name is an address",
    "authn.spf_macros": "counts them",
    "config.check": "the operator's own text",
    "config.load": "what Python's reader of TOML says",
    "config.next_hop": "asks whether a name is an address",
    "imapd.short_structure": "our own text",
    "serve.privileges": "the operator's own text",
    "store.places": "part of a file's name, which has 255 octets",
    "system.imap_client": "every number goes through _number",
    "system.notify": "the service manager's word",
    "system.process": "our own process's word",
    "cli.rehearsal_session": "three characters",
}

LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

# Modules that may catch everything without raising it again, and why. An entry that is not needed any more fails too.
CATCH_ALL: dict[str, str] = {
    "serve.connection": "the net under a session: a bug ends this session alone, with one line in the log",
    "serve.caretaker": "the net under work that nobody waits for: a bug keeps no other account waiting",
    "serve.verbs": "the net under a request to the supervisor: a bug there must not end every session",
    "deliver.carrier": "the net under a delivery: a bug defers this message alone, with one line in the log",
    "store.guard": "the net under what is read of a message: a bug there costs what was to be read, and is told",
    "serve.feedback": "the net under a round of feedback: a bug there is told, and the queue goes on",
    "deliver.feedback": "the net under what strangers report: a bug costs one report, and the others are read",
    "deliver.runner": "the net under the queue: a bug keeps one message waiting, never the others, nor ends the runner",
}

WIDE = {"Exception", "BaseException"}


def lets_any_digits_in(module: Module) -> bool:
    """Whether it reads numbers, and has a pattern or a test that any count of digits passes without a len() beside."""
    calls = (node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    reads = any(isinstance(function, ast.Name) and function.id == "int" for function in calls)
    lines = (line for line in module.text.splitlines() if "len(" not in line)
    return reads and any(map(ANY_DIGITS.search, lines))


def find_wide_handlers(module: Module) -> list[int]:
    """Lines of handlers that catch everything and do not end in a bare `raise` (clean up and pass it on)."""
    lines = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = [] if node.type is None else node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        wide = node.type is None or any(isinstance(name, ast.Name) and name.id in WIDE for name in caught)
        last = node.body[-1]
        if wide and not (isinstance(last, ast.Raise) and last.exc is None):
            lines.append(node.lineno)
    return lines


def check_docstring(module: Module) -> list[str]:
    """Every file says what it is; every module says what it raises."""
    text = ast.get_docstring(module.tree)
    if not text:
        return [f"{module.path}:1: has no docstring: say what it is, what it never does, its RFC and section"]
    if not module.is_package and not re.search(r"^Diagnostics: *\S", text, re.MULTILINE):
        return [f"{module.path}:1: the docstring has no paragraph `Diagnostics: what it raises and when`"]
    return []


def check_twin(module: Module) -> list[str]:
    """Every module has its test at the same place under tests/."""
    path = Path(module.path)
    twin = Path("tests") / path.parent / f"test_{path.name}"
    if module.is_package or (TOP / twin).is_file():
        return []
    return [f"{module.path}: has no twin {twin}"]


def check_names(module: Module) -> list[str]:
    return [
        f"{module.path}: {part} says nothing: name it after what it holds"
        for part in module.name.split(".")
        if part in EMPTY_NAMES or EMPTY_NAMES & set(part.split("_"))
    ]


def check_leftovers(path: str, text: str) -> list[str]:
    return [
        f"{path}:{number}: {found[0]}: do it, or make it an issue"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := LEFTOVER.search(line))
    ]


def check_patterns(module: Module) -> list[str]:
    return [
        f"{module.path}:{number}: {found[0]} is a possessive group: repeat a plain group around a possessive class"
        for number, line in enumerate(module.text.splitlines(), 1)
        if (found := POSSESSIVE_GROUP.search(line))
    ]


def check_handlers(module: Module) -> list[str]:
    if module.name in CATCH_ALL:
        return []
    return [
        f"{module.path}:{line}: catches everything: name what can happen here, or raise it again"
        for line in find_wide_handlers(module)
    ]


CHECKS = {
    "docstring": check_docstring,
    "twin": check_twin,
    "names": check_names,
    "leftovers": lambda module: check_leftovers(module.path, module.text),
    "handlers": check_handlers,
    "patterns": check_patterns,
}


@pytest.mark.parametrize("check", CHECKS)
def test_form(check: str) -> None:
    expect_none([fault for module in modules() for fault in CHECKS[check](module)])


def test_every_directory_of_code_is_a_package() -> None:
    missing = {file.parent for file in PACKAGE.rglob("*.py") if not (file.parent / "__init__.py").is_file()}
    assert not missing, f"without __init__.py, so setup.py does not see them: {sorted(map(str, missing))}"


def test_no_twin_without_its_module() -> None:
    twins = sorted((TOP / "tests" / "mailsrv").rglob("test_*.py"))
    faults = [
        f"{twin.relative_to(TOP)}: there is no module of this name"
        for twin in twins
        if not (TOP / twin.relative_to(TOP / "tests")).with_name(twin.name.removeprefix("test_")).is_file()
    ]
    expect_none(faults)


def test_no_leftovers_in_scripts_and_pages() -> None:
    files = [TOP / "setup.py", TOP / "README", *(TOP / "bin").iterdir(), *(TOP / "man").iterdir()]
    faults = [
        fault
        for file in files
        if file.is_file()
        for fault in check_leftovers(str(file.relative_to(TOP)), file.read_text(encoding="utf-8"))
    ]
    expect_none(faults)


def test_digits_are_counted_before_they_are_read() -> None:
    found = {module.name for module in modules() if lets_any_digits_in(module)}
    assert found == set(ANY_COUNT_OF_DIGITS), f"bound them, or say why not: {sorted(found ^ set(ANY_COUNT_OF_DIGITS))}"
    broken = parse("mailsrv/x.py", 'A = re.compile(r"(\\d+)")\nB = int(A.match(C)[1])\n')
    assert lets_any_digits_in(broken)


def test_each_permission_to_catch_everything_is_used() -> None:
    used = {module.name for module in modules() if find_wide_handlers(module)}
    assert set(CATCH_ALL) <= used, f"not needed any more: {sorted(set(CATCH_ALL) - used)}"


BROKEN = [
    ("docstring", "import os\n", "has no docstring"),
    ("docstring", '"""What it is."""\n', "Diagnostics"),
    ("twin", "", "has no twin tests/mailsrv/mail/test_nothing_utils.py"),
    ("names", "", "nothing_utils says nothing"),
    ("leftovers", "# TO" + "DO: later\n", "mailsrv/mail/nothing_utils.py:1"),
    ("patterns", 'X = r"(?:a|b)*' + '+c"', ":1: )*+ is a possessive group"),
    ("handlers", "try:\n    pass\nexcept:\n    pass\n", ":3: catches everything"),
    ("handlers", "try:\n    pass\nexcept (OSError, Exception):\n    pass\n", ":3: catches everything"),
]


@pytest.mark.parametrize(("check", "text", "complaint"), BROKEN)
def test_a_breach_is_seen(check: str, text: str, complaint: str) -> None:
    assert complaint in report(CHECKS[check](parse("mailsrv/mail/nothing_utils.py", text)))


def test_cleaning_up_and_raising_again_is_no_breach() -> None:
    text = "try:\n    pass\nexcept BaseException:\n    clean()\n    raise\n"
    assert find_wide_handlers(parse("mailsrv/mail/x.py", text)) == []
