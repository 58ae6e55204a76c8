"""Reports, octet for octet as in tests/cases/dsn, each queued once whatever crashes."""

from dataclasses import replace

import pytest

from mailsrv.deliver import bounce
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.due import Report, ReportSettings
from mailsrv.errors import StorageError, StorageFull
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode_envelope
from tests.cases.dsn import case
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk, PowerCut

RECEIVED = 1_700_000_000.0
SETTINGS = ReportSettings("mx.sender.example")
MESSAGE = b"Subject: Lunch\r\nMessage-ID: <1@sender.example>\r\n\r\nShall we?\r\n"


def envelope(sender="anna", ret=""):
    path = Address(sender, "sender.example") if sender else None
    recipients = (Recipient(Address("bob", "remote.example")),)
    return Envelope("q1", RECEIVED, path, recipients, MailParameters(ret=ret), size=len(MESSAGE))


def read(limit):
    return MESSAGE[:limit]


@pytest.mark.parametrize("name", case.names())
def test_case(name):
    loaded = case.load(name)
    report = loaded.due()
    expected = case.expected(name)
    if expected is None:
        assert report is None
        return
    own, octets = loaded.make(report)
    assert octets.decode("utf-8", "surrogateescape") == expected.decode("utf-8", "surrogateescape")
    assert own.reverse_path is None
    assert [one.address for one in own.recipients] == [loaded.envelope.reverse_path]
    assert own.recipients[0].dsn == DsnRequest(("NEVER",))
    assert own.id == case.REPORT_ID and own.size == own.parameters.size == len(octets)
    assert own.received == loaded.now
    assert own.parameters.ret == own.parameters.envid == ""


def test_what_the_next_hop_of_a_report_must_offer():
    needs = {}
    for name in case.names():
        loaded = case.load(name)
        if case.expected(name) is not None:
            parameters = loaded.make(loaded.due())[0].parameters
            if parameters.smtputf8 or parameters.body != "7BIT":
                needs[name] = (parameters.smtputf8, parameters.body)
    assert needs == {"09-utf8-sender-and-header": (True, "8BITMIME"), "21-eight-bit-ret-full": (False, "8BITMIME")}


def bouncer(disk, **options):
    disk.make_directories("/data/spool/queue")
    return Bouncer(disk, Spool(disk, "/data"), SETTINGS, FakeClock(RECEIVED + 5), **options)


FAILED = Report(Kind.FAILED, (Outcome(0, Status.FAILED, "5.1.1", "", "", RECEIVED + 1),))


def test_a_report_lies_in_the_queue_under_its_id():
    disk = FakeDisk()
    bouncer(disk).send("B1", FAILED, envelope(), read)
    line, _, message = disk.read("/data/spool/queue/B1").partition(b"\n")
    own = decode_envelope(line)
    assert (own.id, own.reverse_path, own.size) == ("B1", None, len(message))
    assert message.startswith(b"From: ")


def test_a_report_that_lies_there_is_not_made_again():
    disk = FakeDisk()
    sender = bouncer(disk)
    sender.send("B1", FAILED, envelope(), read)
    before = disk.read("/data/spool/queue/B1")
    sender.send("B1", FAILED, envelope(), read)
    assert disk.read("/data/spool/queue/B1") == before
    assert disk.names("/data/spool/queue") == ["B1"]


def test_whatever_crashes_there_is_one_report_in_the_end():
    def send(disk):
        sender = bouncer(disk)
        begins = len(disk.operations)
        sender.send("B1", FAILED, envelope(), read)
        return range(begins, len(disk.operations) + 1)

    images = 0
    for operation in send(FakeDisk()):
        disk = FakeDisk(crash_at=operation)
        try:
            send(disk)
        except PowerCut:
            pass
        for image in disk.images():
            recovered = FakeDisk.from_image(image)
            send(recovered)
            assert [image for image in recovered.images() if "/data/spool/queue/B1" not in image] == []
            assert recovered.names("/data/spool/queue") == ["B1"]
            images += 1
    assert images > 4


def test_a_report_that_was_linked_but_not_synced_is_made_durable():
    disk = FakeDisk()
    sender = bouncer(disk)
    with disk.open_unnamed("/data/spool/queue") as file:
        file.write([b"the report"])
        file.sync()
        file.link("/data/spool/queue", "B1")
    sender.send("B1", FAILED, envelope(), read)
    assert [image.get("/data/spool/queue/B1") for image in disk.images()] == [b"the report"]


@pytest.mark.parametrize("place", ["hold", "journal", "corrupt"])
def test_a_report_that_has_left_the_queue_is_not_made_again(place):
    disk = FakeDisk()
    sender = bouncer(disk)
    disk.make_directories(f"/data/spool/{place}")
    disk.replace(f"/data/spool/{place}/B1", b"")
    sender.send("B1", FAILED, envelope(), read)
    assert disk.names("/data/spool/queue") == []


def test_a_report_released_from_hold_in_between_is_left_alone():
    disk = FakeDisk()
    sender = bouncer(disk)

    def release(limit):
        disk.replace("/data/spool/queue/B1", b"released")
        return MESSAGE[:limit]

    sender.send("B1", FAILED, envelope(), release)
    assert disk.read("/data/spool/queue/B1") == b"released"


def test_a_full_disk_is_told_and_the_next_try_succeeds():
    disk = FakeDisk(refuse=lambda operation, path: StorageFull("no room") if operation == "write" else None)
    with pytest.raises(StorageFull):
        bouncer(disk).send("B1", FAILED, envelope(), read)
    assert disk.names("/data/spool/queue") == []


def test_a_report_is_signed_as_it_goes_out():
    seen = []

    def sign(header, body):
        seen.append((header, b"".join(body)))
        return b"DKIM-Signature: v=1\r\n"

    own, octets = bouncer(FakeDisk(), sign=sign).make("B1", FAILED, envelope(), read)
    header, body = seen[0]
    assert octets == b"DKIM-Signature: v=1\r\n" + header + body
    assert header.endswith(b'"\r\n\r\n') and body.startswith(b"--B1/")
    assert own.size == len(octets)


def test_without_its_signature_a_report_waits():
    def sign(header, body):
        raise StorageError("the key cannot be read")

    disk = FakeDisk()
    with pytest.raises(StorageError):
        bouncer(disk, sign=sign).send("B1", FAILED, envelope(), read)
    assert disk.names("/data/spool/queue") == []


def test_boundaries_cannot_be_guessed():
    sender = bouncer(FakeDisk())
    assert sender.make("B1", FAILED, envelope(), read) != sender.make("B1", FAILED, envelope(), read)


def test_the_null_reverse_path_has_no_report_to_make():
    with pytest.raises(ValueError, match="null reverse-path"):
        bouncer(FakeDisk()).make("B1", FAILED, envelope(sender=None), read)


def test_no_more_is_read_than_is_returned():
    asked = []

    def count(limit):
        asked.append(limit)
        return MESSAGE[:limit]

    sender = bouncer(FakeDisk())
    sender.make("B1", FAILED, envelope(ret="HDRS"), count)
    sender.make("B1", FAILED, replace(envelope(ret="FULL"), size=SETTINGS.return_limit + 1), count)
    sender.make("B1", FAILED, envelope(ret="FULL"), count)
    assert asked == [bounce.HEADER_LIMIT, bounce.HEADER_LIMIT, len(MESSAGE)]


@pytest.mark.parametrize("line", [b"X: y\r\n", b"X: " + b"y" * 900 + b"\r\n"])
def test_an_endless_header_is_cut_at_a_line(line):
    message = line * 20_000

    _, octets = bouncer(FakeDisk()).make("B1", FAILED, replace(envelope(), size=len(message)), lambda n: message[:n])
    returned = octets[octets.index(b"text/rfc822-headers") :]
    assert bounce.HEADER_LIMIT - 1000 < returned.count(line) * len(line) <= bounce.HEADER_LIMIT
    assert returned.split(b"\r\n\r\n", 1)[1].startswith(line)
    assert b"\r\n\r\n--B1/" in returned


def test_a_header_without_a_line_end_is_no_header():
    message = b"y" * (bounce.HEADER_LIMIT + 5)
    _, octets = bouncer(FakeDisk()).make("B1", FAILED, replace(envelope(), size=len(message)), lambda n: message[:n])
    assert len(octets) < 2 * bounce.HEADER_LIMIT


def test_own_words_come_from_the_template_directory():
    disk = FakeDisk()
    disk.make_directories("/words")
    disk.replace("/words/de.txt", b"[author]\nPoststelle\n[nonsense]\nx\n")
    settings = replace(SETTINGS, languages=("de",), template_dir="/words")
    sender = Bouncer(disk, Spool(disk, "/data"), settings, FakeClock(RECEIVED))
    assert sender.complaints == ["/words/de.txt:3: [nonsense]: there is no such section"]
    _, octets = sender.make("B1", FAILED, envelope(), read)
    assert octets.startswith(b"From: Poststelle <MAILER-DAEMON@mx.sender.example>\r\n")
