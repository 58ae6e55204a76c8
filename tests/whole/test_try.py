"""`mailsrv try` as a user runs it: every command that it prints does what it says, and Ctrl-C leaves no process."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.others import reason_not_to

TOP = Path(__file__).resolve().parents[2]
PROGRAM = str(TOP / "bin" / "mailsrv")
NOBODY = 65534


@pytest.fixture
def directory():
    """A place that the workers can enter when the tests run as root; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="mailsrv-test-") as path:
        os.chmod(path, 0o755)
        yield Path(path) / "try"


def run_once(directory, **options):
    command = [sys.executable, PROGRAM, "try", "--once", "--any-port", "--dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@contextmanager
def running(directory, **options):
    """The command in a process group of its own; gives the process and what it has said until it waits for Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-u", PROGRAM, "try", "--any-port", "--dir", str(directory)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        else:
            pytest.fail(f"it ended too early: {said}{process.stderr.read()}")
        yield process, said
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def find_mail(directory, account="bob"):
    return sorted((directory / "data" / "accounts" / account / "new").iterdir())


def find_supervisor(said):
    return int(re.search(r"\(process (\d+)\)", said)[1])


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_once_sends_a_message_and_ends(directory):
    done = run_once(directory)
    assert (done.returncode, done.stderr) == (0, "")
    (message,) = find_mail(directory)
    assert str(message) in done.stdout
    text = message.read_bytes()
    assert b"\r\nFrom: alice@example.test\r\n" in text
    assert b"with ESMTPSA" in text
    assert "1 message of bob\n" in done.stdout
    assert f"rm -r {directory}" in done.stdout
    assert "level=error" not in (directory / "log").read_text()


def test_a_second_time_everything_is_still_there(directory):
    run_once(directory)
    before = {name: (directory / name).read_bytes() for name in ("passwords", "cert.pem", "key.pem")}
    done = run_once(directory)
    assert done.returncode == 0
    assert {name: (directory / name).read_bytes() for name in before} == before
    assert "2 messages of bob\n" in done.stdout


def test_secrets_are_kept_from_others(directory):
    run_once(directory)
    closed = ["passwords", "key.pem", "mailsrv.toml", "data", "log"]
    assert {name: (directory / name).stat().st_mode & 0o007 for name in closed} == dict.fromkeys(closed, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(directory, number):
    with running(directory) as (process, said):
        supervisor = find_supervisor(said)
        assert exists(supervisor)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "1 message of bob\n" in rest
    assert not exists(supervisor)
    assert not list((directory / "data" / "run").glob("pid"))


def test_the_end_of_the_server_is_told(directory):
    with running(directory) as (process, said):
        os.kill(find_supervisor(said), signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 69
    assert "the server ended with status -9" in errors


def run_command(command, end="QUIT"):
    """One line as it was printed, in a shell; gives what it said. openssl is given a dialogue that ends."""
    return subprocess.run(
        ["sh", "-c", command], input=f"{end}\n", capture_output=True, text=True, timeout=60, check=False
    )


def find_commands(said):
    """What was printed for every kind of listener: (kind, command)."""
    kind = ""
    for line in said.splitlines():
        if match := re.match(r"  port \d+, (\w+):", line):
            kind = match[1]
        elif match := re.fullmatch(r"    (\S.*)", line):
            yield kind, match[1]


# Kind, program -> what it hears when it reads bob's mail.
READS = {
    ("imap", "curl"): r'\* LIST \(.*\) "/" INBOX\n',
    ("imap", "openssl"): r".*\* BYE .*a OK .*",
    ("imaps", "curl"): r".*\nSubject: the first message\n.*\nIt went through mailsrv\.\n",
    ("imaps", "openssl"): r"\* OK \[CAPABILITY IMAP4rev2 .*a OK .*",
}


def test_every_command_that_it_prints_works(directory):
    with running(directory) as (_, said):
        commands = list(find_commands(said))
        assert {command.split()[0] for _, command in commands} == {"swaks", "curl", "openssl"}
        assert {kind for kind, _ in commands} == {"smtp", "submission", "submissions", "lmtp", "imap", "imaps"}
        assert set(re.findall(r"^  port (\d+)", said, re.MULTILINE)) <= set(re.findall(r":(\d+)", said))
        ran = 0
        for kind, command in commands:
            program = command.split()[0]
            if shutil.which(program) is None:
                assert os.environ.get("MAILSRV_PEERS") != "required", f"{program} is not installed"
                continue
            before = len(find_mail(directory))
            done = run_command(command, "a LOGOUT" if kind.startswith("imap") else "QUIT")
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            if kind.startswith("imap"):
                assert re.fullmatch(READS[kind, program], done.stdout, re.DOTALL), f"{command}\n{done.stdout}"
            elif program == "openssl":
                assert "\n221 " in f"\n{done.stdout}", command
            else:
                assert len(find_mail(directory)) == before + 1, command
            ran += 1
        questions = re.findall(r"^  \S*mailsrv (--config .*)$", said, re.MULTILINE)
        assert len(questions) == 3
        for question in questions:
            done = run_command(f"{sys.executable} {PROGRAM} {question}")
            assert done.returncode == 0, f"{question}\n{done.stdout}{done.stderr}"
    if not ran:
        pytest.skip("neither swaks nor curl nor openssl is installed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_works_as_an_ordinary_user(directory):
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
    if reason := reason_not_to(NOBODY, PROGRAM):
        pytest.skip(reason)
    done = run_once(directory, **as_nobody)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.stat().st_uid for path in find_mail(directory)] == [NOBODY]


@pytest.mark.skipif(os.geteuid() != 0, reason="others do not need to let anybody in")
def test_root_is_told_of_a_directory_that_the_workers_cannot_enter(directory):
    directory.mkdir(0o700)
    done = run_once(directory / "below")
    assert done.returncode == 69
    assert f"{directory} is closed to all but root" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="others do not need to let anybody in")
def test_root_in_a_closed_directory_uses_another_place(directory):
    directory.mkdir(0o700)
    command = [sys.executable, PROGRAM, "try", "--once", "--any-port"]
    environ = {**os.environ, "TMPDIR": str(directory.parent)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=directory, env=environ
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{directory} is closed to all but root" in done.stdout
    assert len(find_mail(directory.parent / "mailsrv-try")) == 1
    assert not list(directory.iterdir())


def test_a_directory_with_other_things_is_left_alone(directory):
    directory.mkdir(mode=0o755)
    (directory / "thesis").write_text("years of work")
    done = run_once(directory)
    assert done.returncode == 69
    assert "has other things in it" in done.stderr
    assert [path.name for path in directory.iterdir()] == ["thesis"]
