"""What a server costs: CPU and memory of its whole process tree, system calls and syncs per message, device flushes.

CPU comes from a control group where one can be made (exact, dead children included), else from /proc by process group.
Memory is PSS from smaps_rollup, so that pages shared by forked workers count once. It measures; it judges nothing.

Diagnostics: a system without /proc raises OSError; a process that dies while it is read counts as nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range", "msync")
CALL = re.compile(r"^\d+ +(?:[\d.]+ +)?(\w+)\(")


class Group:
    """The processes of one server. `enter` runs in the child before exec; everything it forks belongs to it."""

    def __init__(self, name: str) -> None:
        self._directory: Path | None = None
        self._leader = 0
        for parent, account in ((CGROUPS / "cpuacct", "cpuacct.usage"), (CGROUPS, "cpu.stat")):
            directory = parent / f"mailsrv-bench-{os.getpid()}-{name}"
            try:
                directory.mkdir()
            except OSError:
                continue
            if (directory / account).exists():
                self._directory = directory
                break
            directory.rmdir()

    @property
    def exact(self) -> bool:
        """True with a control group; False when dead orphans of the server are missing from the sums."""
        return self._directory is not None

    def enter(self) -> None:
        """Join the group: called in the child between fork and exec."""
        os.setpgid(0, 0)
        if self._directory is not None:
            (self._directory / "cgroup.procs").write_text(str(os.getpid()))

    def lead(self, pid: int) -> None:
        """Name the first process of the group (what counts where there is no control group)."""
        self._leader = pid

    def pids(self) -> list[int]:
        """The processes alive now."""
        if self._directory is not None:
            return [int(line) for line in (self._directory / "cgroup.procs").read_text().split()]
        return sorted(descendants(self._leader))

    def cpu_seconds(self) -> float:
        """User and system time used so far."""
        if self._directory is None:
            return sum(_cpu_of(pid) for pid in self.pids())
        usage = self._directory / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        stat = dict(line.split() for line in (self._directory / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6

    def pss_bytes(self) -> int:
        """Proportional set size of all processes."""
        return sum(pss_bytes(pid) for pid in self.pids())

    def close(self) -> None:
        """Remove the control group; its processes have been waited for, but the kernel may need a moment."""
        if self._directory is None:
            return
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                self._directory.rmdir()
                return
            except OSError:
                time.sleep(0.05)


class Weight:
    """While it is open, this process and its children get `factor` times the usual share of the cores.

    For a machine that does other work meanwhile. Needs root and the cpu controller (version 1); raises OSError else.
    """

    def __init__(self, factor: int) -> None:
        self._directory = CGROUPS / "cpu" / f"mailsrv-bench-{os.getpid()}"
        self._directory.mkdir()
        (self._directory / "cpu.shares").write_text(str(1024 * factor))
        (self._directory / "cgroup.procs").write_text(str(os.getpid()))

    def close(self) -> None:
        """Back to the usual share; every child has ended."""
        (self._directory.parent / "cgroup.procs").write_text(str(os.getpid()))
        self._directory.rmdir()


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process in bytes, 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(root: int) -> set[int]:
    """The process `root` and all its children's children alive now."""
    parents = {int(entry): _stat(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, stat in parents.items() if stat and int(stat[1]) in found} - found
        found |= more
        grown = bool(more)
    return found


def _cpu_of(pid: int) -> float:
    stat = _stat(pid)
    return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def strace_command(trace: Path) -> list[str]:
    """The words to put before a server's command so that every system call of its tree is one line of `trace`."""
    return ["strace", "-f", "-qq", "-s", "0", "-e", "signal=none", "-o", str(trace)]


def count_calls(trace: Path, offset: int) -> Counter[str]:
    """System calls by name in `trace` from an octet offset on; a call cut in two by another thread counts once."""
    with trace.open("rb") as file:
        file.seek(offset)
        text = file.read().decode("ascii", "replace")
    return Counter(found[1] for line in text.splitlines() if (found := CALL.match(line)))


def count_syncs(calls: Counter[str]) -> int:
    """How many of the calls put something on stable storage."""
    return sum(calls[name] for name in SYNCS)


def device_flushes(directory: Path) -> int:
    """Flush requests so far on the device that holds `directory` (everybody's on this machine), 0 when not known."""
    device = os.stat(directory).st_dev
    wanted = [str(os.major(device)), str(os.minor(device))]
    for line in Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if fields[:2] == wanted and len(fields) >= 20:
            return int(fields[18])
    return 0
