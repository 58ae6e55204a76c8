"""The runner's side of the drop directory: taken once, whoever left it, whatever crashed."""

import os
from pathlib import Path

import pytest

from mailsrv.config.schema import AccountConfig, Config, LimitsConfig
from mailsrv.directory.accounts import Directory
from mailsrv.errors import StorageError
from mailsrv.receive.drops import Counts, Drops, Services, find_user, read_counts
from mailsrv.spool.drop import Request, leave
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode_envelope
from mailsrv.spool.layout import Layout, prepare
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Scratch
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog

MESSAGE = b"Subject: x\r\n\r\nhi\r\n"


class Place:
    """A drop directory and a queue behind it."""

    def __init__(self, tmp_path: Path) -> None:
        self.drop = tmp_path / "drop"
        self.drop.mkdir()
        self.drop.chmod(0o3777)
        self.disk, self.log, self.clock = Disk(), FakeLog(), FakeClock()
        self.layout: Layout = prepare(self.disk, str(tmp_path / "data"))
        self.config = Config(
            hostname="mail.example.com", data_dir=self.layout.data_dir, drop_dir=str(self.drop),
            domains=["example.com"], accounts=[AccountConfig("ada", ["ada@example.com"])],
            limits=LimitsConfig(message_size=2048),
        )  # fmt: skip
        self.drops = self.open()

    def open(self) -> Drops:
        """What a process has that starts now."""
        budget = MemoryBudget(1 << 20)
        return Drops(self.config, Services(
            self.disk, Spool(self.disk, self.layout.data_dir), Directory.from_config(self.config),
            lambda: Scratch(self.disk, self.layout.tmp, 1 << 16, budget), self.log, self.clock,  # type: ignore[arg-type]
        ))  # fmt: skip

    def leave(self, *recipients: str, message: bytes = MESSAGE) -> str:
        name = QueueIds(self.clock, 0).new() + "0"
        leave(self.disk, str(self.drop), name, Request(recipients or ("bob@example.net",)), message)
        self.clock.advance(1)
        return name

    def queue(self) -> set[str]:
        return set(os.listdir(self.layout.queue))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_message_is_taken(place: Place) -> None:
    name = place.leave("bob@example.net", "ada", "nobody")
    assert place.drops.look() == 1
    assert place.queue() == {name}
    assert os.listdir(place.drop) == []
    line, _, message = Path(place.layout.queue, name).read_bytes().partition(b"\n")
    envelope = decode_envelope(line)
    user = find_user(os.getuid())
    assert str(envelope.reverse_path) == f"{user.name}@example.com"
    assert [(str(one.address), one.account) for one in envelope.recipients] == [
        ("bob@example.net", ""), ("ada@example.com", "ada"), ("nobody@example.com", ""),
    ]  # fmt: skip
    assert message.endswith(b"\r\nSubject: x\r\n\r\nhi\r\n")
    assert [fields["id"] for fields in place.log.named("received")] == [name]
    assert [fields["recipients"] for fields in place.log.named("queued")] == [3]


def test_nothing_is_read_when_nothing_has_changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(place.drop, (place.clock.now() - 10,) * 2)
    assert place.drops.look() == 0
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "names", lambda *_: pytest.fail("read again"))
        assert place.drops.look() == 0
    place.leave()
    assert place.drops.look() == 1


def test_a_message_that_was_queued_before_a_crash_is_not_queued_again(place: Place) -> None:
    name = place.leave()
    octets = (place.drop / name).read_bytes()
    assert place.drops.look() == 1
    (place.drop / name).write_bytes(octets)
    assert place.open().look() == 1
    assert place.queue() == {name}
    assert len(place.log.named("received")) == 1


@pytest.mark.parametrize(
    "octets",
    [b"", b"nonsense\n", b'{"version":1,"recipients":[]}\nx\r\n', b'{"version":1,"recipients":["a b@c"]}\n\r\n',
     b'{"version":1,"recipients":["a"]}\nbare\nline\r\n', b'{"version":1,"recipients":["a"]}\n' + b"x" * 2049,
     b"x" * (2 << 20)],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_message_stays_and_is_told_once(place: Place, octets: bytes) -> None:
    bad = QueueIds(place.clock, 0).new() + "0"
    (place.drop / bad).write_bytes(octets)
    place.clock.advance(1)
    good = place.leave()
    assert place.drops.look() == 1
    assert place.drops.look() == 0
    assert place.queue() == {good}
    assert os.listdir(place.drop) == [bad]
    assert [fields["id"] for fields in place.log.named("corrupt")] == [bad]


def test_traps_of_other_users(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b'{"version":1,"recipients":["a"]}\nsecret\r\n')
    names = [QueueIds(FakeClock(place.clock.now() - age), 0).new() + "0" for age in range(1, 6)]
    (place.drop / names[0]).symlink_to(tmp_path / "secret")
    (place.drop / names[1]).symlink_to(names[1])
    os.mkfifo(place.drop / names[2])
    (place.drop / names[3]).mkdir()
    os.link(tmp_path / "secret", place.drop / names[4])
    (place.drop / "status.txt").write_text("mine")
    good = place.leave()
    assert place.drops.look() == 1
    assert place.queue() == {good}
    assert {fields["id"] for fields in place.log.named("corrupt")} == set(names)


def test_a_directory_that_is_not_as_it_must_be(place: Place) -> None:
    place.leave()
    place.drop.chmod(0o777)
    with pytest.raises(StorageError):
        place.drops.look()
    place.drop.chmod(0o3777)
    assert place.drops.look() == 1


def test_the_numbers_for_everybody(place: Place) -> None:
    assert read_counts(place.disk, str(place.drop)) is None
    place.drops.tell(3, 1)
    before = place.drop.joinpath("status").stat()
    assert before.st_mode & 0o777 == 0o644
    place.drops.tell(3, 1)
    assert place.drop.joinpath("status").stat().st_ino == before.st_ino
    assert read_counts(place.disk, str(place.drop)) == Counts(3, 1, place.clock.now())
    place.drops.tell(4, 1)
    assert read_counts(place.disk, str(place.drop)) == Counts(4, 1, place.clock.now())
    place.drop.joinpath("status").write_text("nonsense")
    assert read_counts(place.disk, str(place.drop)) is None


def test_without_a_drop_directory(place: Place) -> None:
    place.config = Config(hostname="mail.example.com", data_dir=place.layout.data_dir)
    drops = place.open()
    assert drops.look() == 0
    drops.tell(1, 1)


def test_a_user_without_a_name() -> None:
    assert find_user(987654).name == "987654"
