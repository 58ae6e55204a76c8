import os

import pytest

from mailsrv.system.lines import LineFile, open_for_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines"


@pytest.fixture
def lines(path):
    file = LineFile(open_for_lines(str(path), 0o640))
    yield file
    os.close(file.descriptor)


def test_a_line_is_one_write_at_the_end(path, lines):
    lines.write(b"one")
    with path.open("ab") as other:
        other.write(b"from elsewhere\n")
    lines.write(b"two")
    assert path.read_bytes() == b"one\nfrom elsewhere\ntwo\n"


def test_a_line_cut_short_is_an_error_and_the_next_one_starts_anew(path, lines, monkeypatch):
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, octets: real(descriptor, octets[:3]))
        with pytest.raises(OSError, match="only 3 of 9 octets"):
            lines.write(b"complete")
    lines.write(b"next")
    lines.write(b"last")
    assert path.read_bytes() == b"com\nnext\nlast\n"


def test_switching_keeps_the_number_and_leaves_nothing_open(path, lines):
    lines.write(b"one")
    number = lines.descriptor
    path.rename(path.with_suffix(".1"))
    fresh = open_for_lines(str(path), 0o640)
    lines.switch(fresh)
    lines.write(b"two")
    assert lines.descriptor == number
    assert not os.get_inheritable(number)
    assert path.read_bytes() == b"two\n"
    with pytest.raises(OSError):
        os.fstat(fresh)
