"""mailrun -1: the runner in the foreground."""

import os
from pathlib import Path

import pytest

from mailsrv.cli.mailrun import main
from tests.mailsrv.cli.queue_house import House, build

Output = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def test_one_pass_delivers_reports_and_ends(house: House, capsys: Output) -> None:
    good = house.put("ada@example.com", sender="eve@example.org")
    bad = house.put("nobody@example.com", sender="ada@example.com")
    later = house.put("ada@example.com")
    house.defer(later, "451 later")
    assert main(["--config", str(house.config), "-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "0 messages are left"
    assert any("event=attempt" in line and good in line and "status=delivered" in line for line in lines)
    assert any("event=report" in line and bad in line for line in lines)
    assert house.names("queue") == set()
    texts = [path.read_text() for path in Path(house.layout.data_dir, "accounts/ada/new").iterdir()]
    assert len(texts) == 3, "two messages, and the report about the third"
    assert sum("Action: failed" in text for text in texts) == 1
    assert not [name for name in os.listdir(f"{house.layout.data_dir}/run") if name.startswith("pass")]


def test_a_message_of_those_that_wait(house: House, capsys: Output) -> None:
    first, other = house.put("ada@example.com"), house.put("ada@example.com")
    house.defer(other, "451 later")
    assert main(["--config", str(house.config), "-1", first, other[:-1] + "9"]) == 0
    output = capsys.readouterr()
    assert "is not in the queue" in output.err
    assert output.out.splitlines()[-1] == "1 message is left"
    assert house.names("queue") == {other}
