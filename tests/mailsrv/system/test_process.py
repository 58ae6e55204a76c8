import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailsrv.errors import Refused
from mailsrv.system import process
from mailsrv.system.process import drop_privileges, wait_for_end

TOP = Path(__file__).resolve().parents[3]


def run(program, *arguments, check=True, **more):
    """A program in a process of its own; gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"from mailsrv.system.process import *\nimport os, sys\n{program}", *arguments],
        cwd=TOP, capture_output=True, text=True, timeout=60, check=False, **more,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stderr
    return done if not check else done.stdout


SHOW = 'print(open("/proc/self/comm").read(), end=""); print(open("/proc/self/cmdline", "rb").read().rstrip(b"\\0"))'


def test_a_title_is_seen_as_name_and_arguments():
    shown = run(f'set_title("mailsrv: smtpd 1 (gen 2)")\n{SHOW}', "some", "arguments")
    assert shown == "mailsrv:smtpd 1\nb'mailsrv: smtpd 1 (gen 2)'\n"


def test_a_title_replaces_a_longer_one_and_touches_nothing_behind_the_arguments():
    program = f"""
before = open("/proc/self/environ", "rb").read()
set_title("mailsrv: a very long title " + "x" * 5000)
set_title("mailsrv: short")
assert open("/proc/self/environ", "rb").read() == before
{SHOW}"""
    assert run(program, "argument" * 20) == "mailsrv:short\nb'mailsrv: short'\n"


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")


@root
def test_privileges_are_gone_for_good():
    program = """
drop_privileges(12345, 12346)
print(os.getresuid(), os.getresgid(), os.getgroups())
for regain in (os.setuid, os.seteuid, os.setgid):
    try:
        regain(0)
        print("regained")
    except PermissionError:
        pass
print([line for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])
"""
    assert run(program).splitlines() == [
        "(12345, 12345, 12345) (12346, 12346, 12346) []",
        "['NoNewPrivs:\\t1\\n']",
    ]


@root
def test_a_title_can_be_changed_without_privileges():
    program = f'set_title("mailsrv: one")\ndrop_privileges(12345, 12345)\nset_title("mailsrv: two")\n{SHOW}'
    assert run(program) == "mailsrv:two\nb'mailsrv: two'\n"


@root
def test_a_call_as_somebody_else(tmp_path):
    program = """
def work():
    print(os.getresuid(), os.getgroups(), flush=True)
call_as(12345, 12346, work)
print(os.getuid())
"""
    assert run(program).splitlines() == ["(12345, 12345, 12345) []", "0"]


@root
@pytest.mark.parametrize(
    ("work", "complaint"),
    [
        ('raise Refused("give it to the service user")', "Refused: give it to the service user"),
        ("1 / 0", "ZeroDivisionError"),
        ("os._exit(3)", "a process of user 12345 ended before its work was done"),
    ],
)
def test_what_goes_wrong_in_a_call_as_somebody_else(work, complaint):
    done = run(f"def work():\n    {work}\ncall_as(12345, 12346, work)", check=False)
    assert done.returncode == 1 and complaint in done.stderr


@pytest.mark.parametrize(("uid", "gid", "groups"), [(0, 5, ()), (5, 0, ()), (5, 5, (0,))])
def test_root_is_no_one_to_become(uid, gid, groups):
    with pytest.raises(Refused, match="may not run as root"):
        drop_privileges(uid, gid, groups)


def test_who_is_not_root_cannot_become_another():
    if os.geteuid() == 0:
        program = "drop_privileges(12345, 12345)\ndrop_privileges(12347, 12347)"
        done = run(program, check=False)
        assert done.returncode != 0 and "cannot become user 12347" in done.stderr
    else:
        with pytest.raises(Refused, match="cannot become"):
            drop_privileges(os.geteuid() + 1, os.getegid())


def test_a_drop_that_can_be_undone_is_refused(monkeypatch):
    """A kernel or a container that answers yes to everything must not be believed."""
    monkeypatch.setattr(os, "setgroups", lambda groups: None)
    monkeypatch.setattr(os, "getgroups", list)
    for name in ("setresuid", "setresgid"):
        monkeypatch.setattr(os, name, lambda *numbers: None)
    monkeypatch.setattr(os, "getresuid", lambda: (5, 5, 5))
    monkeypatch.setattr(os, "getresgid", lambda: (5, 5, 5))
    with pytest.raises(Refused, match="could be taken back"):
        drop_privileges(5, 5)
    monkeypatch.setattr(os, "getresuid", lambda: (5, 0, 5))
    with pytest.raises(Refused, match="did not make this process"):
        drop_privileges(5, 5)
    monkeypatch.setattr(os, "getresuid", lambda: (5, 5, 5))
    monkeypatch.setattr(os, "getgroups", lambda: [4])
    with pytest.raises(Refused, match="did not make this process"):
        drop_privileges(5, 5)


DETACH = """
end = detach()
if isinstance(end, Told):
    print(end.code, end.text)
    sys.exit()
{daemon}
"""


def test_a_daemon_tells_the_process_that_started_it():
    daemon = """
where = os.getcwd(), os.getsid(0) != os.getpid(), os.getsid(0) != int(sys.argv[1]), os.isatty(0)
end.give_up_stderr()
end.tell(0, repr(where))
end.tell(1, "only the first counts")
"""
    assert run(DETACH.format(daemon=daemon), str(os.getsid(0))) == "0 ('/', True, True, False)\n"


def test_a_daemon_that_fails_is_heard():
    assert run(DETACH.format(daemon='end.tell(78, "no port\\nno key")')) == "78 no port\nno key\n"
    assert run(DETACH.format(daemon="os._exit(3)")) == "1 the server ended before it was ready; see its log\n"


def test_a_daemons_children_do_not_keep_the_starter_waiting():
    daemon = """
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(writer)
    os.closerange(1, 3)
    os.read(reader, 1)
    os._exit(0)
end.give_up_stderr()
end.tell(0, "ready")
"""
    assert run(DETACH.format(daemon=daemon)) == "0 ready\n"


def test_waiting_for_the_end_of_a_process():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert not wait_for_end(child.pid, 0)
    child.stdin.close()
    assert wait_for_end(child.pid, 20)
    child.wait()
    assert wait_for_end(child.pid, 0)


def test_arguments_that_cannot_be_found_are_left_alone(monkeypatch):
    monkeypatch.setattr(process, "_area", (0, 0))
    before = Path("/proc/self/comm").read_text()
    cmdline = Path("/proc/self/cmdline").read_bytes()
    try:
        process.set_title("pytest: test")
        assert Path("/proc/self/comm").read_text() == "pytest:test\n"
        assert Path("/proc/self/cmdline").read_bytes() == cmdline
    finally:
        Path("/proc/self/comm").write_text(before)
