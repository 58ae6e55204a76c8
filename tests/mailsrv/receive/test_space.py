"""Free space: asked rarely, with the reserve kept."""

from mailsrv.errors import StorageError, StorageFull
from mailsrv.receive.space import NO_ROOM, STORAGE_FAILED, FreeSpace, storage_reply
from tests.fakes.clock import FakeClock
from tests.mailsrv.receive.fakes import make_house
from tests.mailsrv.receive.test_sender import make_state


class OneDisk:
    def __init__(self, octets: int, inodes: int) -> None:
        self.left = (octets, inodes)
        self.asked = 0

    def free(self, path: str) -> tuple[int, int]:
        self.asked += 1
        if self.left[0] < 0:
            raise StorageError("cannot be asked")
        return self.left


def test_octets_and_inodes_less_the_reserve() -> None:
    assert FreeSpace(OneDisk(1000, 10), "/", (400, 5), FakeClock()).has(600)
    assert not FreeSpace(OneDisk(1000, 10), "/", (400, 5), FakeClock()).has(601)
    assert not FreeSpace(OneDisk(1000, 5), "/", (0, 5), FakeClock()).has(0)
    assert not FreeSpace(OneDisk(100, 10), "/", (400, 5), FakeClock()).has(0)


def test_the_disk_is_asked_once_a_second() -> None:
    disk, clock = OneDisk(1000, 10), FakeClock()
    space = FreeSpace(disk, "/", (0, 0), clock)
    assert all(space.has(1) for _ in range(5))
    assert disk.asked == 1
    disk.left = (0, 0)
    assert space.has(1)
    clock.advance(1.1)
    assert not space.has(1)
    assert disk.asked == 2


def test_a_disk_that_cannot_be_asked_is_left_to_the_write() -> None:
    assert FreeSpace(OneDisk(-1, 0), "/", (0, 0), FakeClock()).has(1)


def test_replies_to_the_disks_refusals() -> None:
    house = make_house()
    state = make_state(house)
    assert storage_reply(state, StorageFull("no space left")) == NO_ROOM
    assert storage_reply(state, StorageError("input/output error")) == STORAGE_FAILED
    assert [line["reason"] for line in house.log.of("storage")] == ["no space left", "input/output error"]
