"""The ledger of a day: what it adds up to, and that nothing is acted on that is not durable."""

from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_ledger import Done, Ledger, Named, Queued, Skipped, read_reports
from tests.fakes.disk import FakeDisk

LAYOUT = FeedbackLayout("/d")
DAY = "2023-11-14"
NAMED = Named("example.org", "ID1", ("a@example.org",), 3, 7, 1.0)


def new_disk():
    disk = FakeDisk()
    disk.make_directories(LAYOUT.sent)
    disk.settle()
    return disk


def test_what_lines_add_up_to():
    disk = new_disk()
    ledger = Ledger(disk, LAYOUT, DAY)
    assert not ledger.load().named
    other = Named("b.example", "ID2", ("b@b.example",), 1, 1, 2.0)
    for entry in (NAMED, Queued("ID1", 2.0), other, Skipped("c.example", "too old", 1, 1, 3.0)):
        ledger.write(entry)
    known = Ledger(disk, LAYOUT, DAY).load()
    assert known.named == {"example.org": NAMED, "b.example": other}
    assert known.pending == [other]
    assert [known.knows(domain) for domain in ("example.org", "c.example", "d.example")] == [True, True, False]
    assert known.done is None
    ledger.write(Done(4.0, 9))
    assert Ledger(disk, LAYOUT, DAY).load().done == Done(4.0, 9)


def test_a_line_is_durable_when_it_is_written():
    disk = new_disk()
    Ledger(disk, LAYOUT, DAY).write(NAMED)
    for image in disk.images():
        assert Ledger(FakeDisk.from_image(image), LAYOUT, DAY).load().pending == [NAMED]


def test_what_a_killed_process_wrote_is_durable_before_it_is_acted_on():
    disk = new_disk()
    disk.skip_sync = LAYOUT.sent
    Ledger(disk, LAYOUT, DAY).write(NAMED)
    disk.skip_sync = None
    assert Ledger(disk, LAYOUT, DAY).load().pending == [NAMED]
    for image in disk.images():
        assert Ledger(FakeDisk.from_image(image), LAYOUT, DAY).load().pending == [NAMED]


def test_a_torn_line_is_cut_off():
    disk = new_disk()
    ledger = Ledger(disk, LAYOUT, DAY)
    ledger.write(NAMED)
    disk.append(LAYOUT.sent_of(DAY), b'{"version":1,"que')
    ledger = Ledger(disk, LAYOUT, DAY)
    assert ledger.load().pending == [NAMED]
    ledger.write(Queued("ID1", 2.0))
    assert Ledger(disk, LAYOUT, DAY).load().pending == []


def test_other_lines_mean_nothing():
    octets = b'{"version":1,"later":{}}\n{"version":2,"done":{"at":1.0}}\n[]\n\n{"version":1,"done":{"when":1}}\n'
    assert read_reports(octets).done is None
