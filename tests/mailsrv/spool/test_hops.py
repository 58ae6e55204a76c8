"""What the runner leaves about next hops, and who reads it."""

from pathlib import Path

from mailsrv.spool.hops import HOPS, HopState, read_hops, write_hops
from mailsrv.spool.layout import prepare
from mailsrv.system.disk import Disk


def test_written_and_read(tmp_path: Path) -> None:
    disk, layout = Disk(), prepare(Disk(), str(tmp_path))
    assert read_hops(disk, layout) == {}
    states = [HopState("example.net", 3, 12.5, "no route", 4, 1), HopState("lmtp:/run/x")]
    write_hops(disk, layout, states)
    assert read_hops(disk, layout) == {state.hop: state for state in states}
    with (tmp_path / HOPS).open("ab") as file:
        file.write(b'nonsense\n{"hop": 5}\n{"hop": "a", "color": "red"}\n')
    assert len(read_hops(disk, layout)) == 2
