"""The outside of the house: what lies at the top, what an installation brings, the two commands on a bare machine."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import TOP

TOP_NAMES = {"README", "bin", "mailsrv", "man", "setup.py", "tests"}
# What using, building and installing leave there; .gitignore has them too.
MADE = {"__pycache__", "build", "dist", "mailsrv-try", "mailsrv.egg-info"}

DEPENDENCIES = ["dnspython", "cryptography", "argon2-cffi", "pyspf"]

# Modules that take long to load and that the command's first page (its help, a usage error) does not need.
HEAVY = {"argon2", "asyncio", "cryptography", "dkim", "dns", "email", "logging", "spf", "sqlite3", "ssl"}


def test_nothing_else_at_the_top() -> None:
    names = {entry.name for entry in TOP.iterdir() if not entry.name.startswith(".")}
    assert names - MADE == TOP_NAMES


def test_the_dependencies_are_these_and_each_has_its_reason() -> None:
    text = (TOP / "setup.py").read_text(encoding="utf-8")
    assignments = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    assigned = next(node for node in assignments if ast.unparse(node.targets[0]) == "INSTALL_REQUIRES")
    assert ast.literal_eval(assigned.value) == DEPENDENCIES
    lines = text.splitlines()
    for element in assigned.value.elts:
        assert "Door" in lines[element.lineno - 2], f"{element.value}: the line above names its door and the reason"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that holds only what is given."""
    nothing = subprocess.DEVNULL
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, stdin=nothing)


def test_the_command_works_from_a_checkout() -> None:
    script = str(TOP / "bin" / "mailsrv")
    done = run(sys.executable, script, "--version", PATH=os.defpath)
    assert (done.returncode, done.stderr) == (0, "")
    version = ast.parse((TOP / "mailsrv" / "__init__.py").read_text()).body[-1].value.value
    assert version in done.stdout.split()


def test_the_command_starts_fast() -> None:
    program = f"import mailsrv.cli.mailsrv, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = run(sys.executable, "-c", f"import sys; sys.path.insert(0, {str(TOP)!r}); {program}")
    assert (done.stdout.split(), done.stderr) == ([], ""), "load these where they are used, not with the command"


# What a python3 on a bare machine does (a shell script in its place) -> what bin/try says about it.
BARE_MACHINES = {
    "none": (None, ["this machine has no python3", "apt-get install python3"]),
    "old": (
        'case "$*" in *version_info*) exit 1 ;; *platform*) echo this machine has Python 3.9.2 ;; esac',
        ["Python 3.11 or newer is needed", "Python 3.9.2"],
    ),
    "no venv": (
        'case "$*" in *ensurepip*) exit 1 ;; esac',
        ["cannot make virtual environments", "apt-get install python3-venv"],
    ),
    "full disk": (
        'case "$*" in *-m\\ venv*) mkdir "$3"; echo "Error: No space left on device"; exit 1 ;; esac',
        ["could not make the virtual environment", "No space left on device"],
    ),
    "no index": (
        # A `python` that makes itself into the environment's, whose pip then fails.
        'case "$*" in *-m\\ venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;'
        ' *-m\\ pip*) echo "ERROR: No matching distribution found for dnspython"; echo hint; exit 1 ;; esac',
        ["the installation failed", "No matching distribution found for dnspython"],
    ),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that holds what bin/try looks at, and a directory `path` with the few commands that it uses."""
    top = tmp_path / "checkout"
    (top / "bin").mkdir(parents=True)
    for name in ("setup.py", "bin/try", "bin/mailsrv"):
        shutil.copy(TOP / name, top / name)
    commands = tmp_path / "path"
    commands.mkdir()
    for name in ("cat", "cksum", "cp", "dirname", "grep", "mkdir", "rm", "sed", "sh", "tail"):
        (commands / name).symlink_to(shutil.which(name) or pytest.fail(f"this machine has no {name}"))
    return top


@pytest.mark.parametrize("machine", BARE_MACHINES)
def test_bin_try_says_in_one_sentence_what_is_missing(machine: str, checkout: Path) -> None:
    program, sayings = BARE_MACHINES[machine]
    commands = checkout.parent / "path"
    if program is not None:
        python = commands / "python3"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
    done = run(str(checkout / "bin" / "try"), PATH=str(commands))
    complaints = [line for line in done.stderr.splitlines() if "installing into" not in line]
    assert (done.returncode, done.stdout, len(complaints)) == (1, "", 1), done.stderr
    assert complaints[0].startswith("mailsrv: ")
    for saying in sayings:
        assert saying in complaints[0]


def test_bin_try_installs_once_and_starts_the_server(checkout: Path) -> None:
    commands = checkout.parent / "path"
    log = checkout.parent / "log"
    python = commands / "python3"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '*-m\\ venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/mailsrv" ;;\n'
        f'*-m\\ pip*) echo install >>{log} ;;\n'
        f'try*) echo "$@" >>{log} ;;\n'
        "esac\n"
    )
    python.chmod(0o755)
    for expected in (["install", "try --directory a b"], ["try --directory a b"]):
        log.write_text("")
        done = run(str(checkout / "bin" / "try"), "--directory", "a b", PATH=str(commands))
        assert done.returncode == 0, done.stderr
        assert log.read_text().splitlines() == expected
    with (checkout / "setup.py").open("a") as file:
        file.write("# changed\n")
    log.write_text("")
    run(str(checkout / "bin" / "try"), PATH=str(commands))
    assert log.read_text().splitlines() == ["install", "try"]
