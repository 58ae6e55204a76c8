"""Reports: who gets which one and when, word for word as in tests/cases/dsn, and never one twice or for a report."""

from dataclasses import replace
from itertools import combinations

import pytest

from mailsrv.deliver import bounce
from mailsrv.deliver.bounce import (
    Bouncer, Report, Reported, ReportSettings, find_due, next_delay_report, onward_request,
)  # fmt: skip
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
SUCCESS, FAILURE, DELAY, NEVER = "SUCCESS", "FAILURE", "DELAY", "NEVER"


def envelope(*requests, sender="anna", originals=None, ret=""):
    recipients = tuple(
        Recipient(Address(f"r{n}", "remote.example"), DsnRequest(notify), originals[n] if originals else None)
        for n, notify in enumerate(requests)
    )
    path = Address(sender, "sender.example") if sender else None
    return Envelope("q1", RECEIVED, path, recipients, MailParameters(ret=ret), size=len(MESSAGE))


def outcomes(*statuses):
    codes = {Status.FAILED: "5.1.1", Status.DELAYED: "4.4.1"}
    return {
        n: Outcome(n, status, codes.get(status, "2.0.0"), "", "", RECEIVED + 1)
        for n, status in enumerate(statuses)
        if status is not None
    }


def due(given, statuses, *, reported=(), age=10.0, settings=SETTINGS, passed_on=()):
    return find_due(given, outcomes(*statuses), reported, RECEIVED + age, settings, passed_on)


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
    assert own.recipients[0].dsn == DsnRequest((NEVER,))
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


# ---- NOTIFY: RFC 3461 sections 4.1 and 5.2 ----

WORDS = [(), (NEVER,), *(words for size in (1, 2, 3) for words in combinations((SUCCESS, FAILURE, DELAY), size))]


@pytest.mark.parametrize("notify", WORDS)
def test_notify(notify):
    given = envelope(notify)
    asked = notify or (FAILURE, DELAY)
    assert (due(given, [Status.FAILED]) is not None) == (FAILURE in asked)
    assert (due(given, [Status.DELIVERED]) is not None) == (SUCCESS in asked)
    assert (due(given, [Status.RELAYED]) is not None) == (SUCCESS in asked)
    assert (due(given, [Status.EXPANDED]) is not None) == (SUCCESS in asked)
    assert (due(given, [Status.DELAYED], age=14_400) is not None) == (DELAY in asked)
    assert due(given, [Status.DELAYED], age=14_399) is None
    assert (next_delay_report(given, SETTINGS) > 0) == (DELAY in asked)


@pytest.mark.parametrize("status", Status)
def test_no_report_for_a_report(status):
    given = envelope((SUCCESS, FAILURE, DELAY), sender=None)
    assert due(given, [status], age=20_000) is None
    assert next_delay_report(given, SETTINGS) == 0


def test_only_who_asked_is_named():
    given = envelope((FAILURE,), (NEVER,), (), (SUCCESS,), (DELAY,))
    report = due(given, [Status.FAILED] * 5)
    assert (report.kind, report.recipients) == (Kind.FAILED, (0, 2))


def test_nothing_is_due_before_there_is_an_outcome():
    assert due(envelope((), ()), [None, None], age=20_000) is None
    assert due(envelope((), ()), [Status.DELAYED, Status.RELAYED]) is None


def test_one_report_of_each_kind_until_none_is_due():
    given = envelope((), (SUCCESS,), (), ())
    statuses = [Status.FAILED, Status.RELAYED, Status.DELAYED, Status.FAILED]
    reported, seen = [], []
    while report := due(given, statuses, reported=reported, age=20_000):
        seen.append((report.kind, report.recipients))
        reported.append(Reported(report.kind, report.recipients))
    assert seen == [(Kind.FAILED, (0, 3)), (Kind.SUCCEEDED, (1,)), (Kind.DELAYED, (2,))]


def test_a_later_failure_gets_its_own_report():
    given = envelope((), ())
    report = due(given, [Status.FAILED, Status.FAILED], reported=[Reported(Kind.FAILED, (0,))])
    assert report.recipients == (1,)


def test_a_delay_is_reported_once_per_message_and_a_failure_after_it():
    given = envelope((), ())
    before = [Reported(Kind.DELAYED, (0,))]
    assert due(given, [Status.DELAYED, Status.DELAYED], reported=before, age=50_000) is None
    assert due(given, [Status.FAILED, Status.DELAYED], reported=before, age=50_000).recipients == (0,)


def test_delay_reports_can_be_turned_off_and_stop_when_attempts_do():
    off = replace(SETTINGS, delay_report_seconds=0)
    assert due(envelope(()), [Status.DELAYED], age=20_000, settings=off) is None
    assert next_delay_report(envelope(()), off) == 0
    assert due(envelope(()), [Status.DELAYED], age=432_000) is None
    assert next_delay_report(envelope(()), SETTINGS) == RECEIVED + 14_400


def test_a_host_that_offers_dsn_confirms_by_itself():
    given = envelope((SUCCESS,), (SUCCESS,), (SUCCESS,))
    statuses = [Status.RELAYED, Status.RELAYED, Status.DELIVERED]
    assert due(given, statuses, passed_on=[0, 2]).recipients == (1, 2)
    assert due(given, [Status.RELAYED, None, None], passed_on=[0]) is None


# ---- aliases: RFC 3461 section 5.2.7.3 ----

TEAM = Address("team", "sender.example")


def test_an_alias_of_several_is_expanded_once():
    given = envelope((SUCCESS,), (SUCCESS,), (SUCCESS,), originals=[TEAM, None, replace(TEAM, local_part="Team")])
    assert due(given, [Status.DELAYED, None, None]) is None
    report = due(given, [Status.DELAYED, None, Status.RELAYED])
    assert [(one.recipient, one.status, one.dsn) for one in report.outcomes] == [(0, Status.EXPANDED, "2.1.5")]
    before = [Reported(Kind.SUCCEEDED, (0,))]
    assert due(given, [Status.RELAYED, None, Status.RELAYED], reported=before) is None
    assert due(given, [Status.RELAYED, Status.RELAYED, Status.RELAYED], reported=before).recipients == (1,)


def test_an_alias_of_one_is_reported_like_any_address():
    given = envelope((SUCCESS,), originals=[TEAM])
    assert due(given, [Status.RELAYED]).outcomes[0].status is Status.RELAYED
    assert onward_request(given, 0).notify == (SUCCESS,)


@pytest.mark.parametrize(
    ("asked", "onward"),
    [
        ((SUCCESS,), (NEVER,)),
        ((SUCCESS, FAILURE), (FAILURE,)),
        ((SUCCESS, FAILURE, DELAY), (FAILURE, DELAY)),
        ((FAILURE,), (FAILURE,)),
        ((NEVER,), (NEVER,)),
        ((), ()),
    ],
)
def test_members_of_an_alias_are_not_asked_to_confirm(asked, onward):
    given = envelope(asked, asked, originals=[TEAM, TEAM])
    assert onward_request(given, 1) == DsnRequest(onward)
    assert onward_request(envelope(asked, asked), 1) == DsnRequest(asked)


# ---- making and queueing ----


def bouncer(disk, **options):
    disk.make_directories("/data/spool/queue")
    return Bouncer(disk, "/data", Spool(disk, "/data"), SETTINGS, FakeClock(RECEIVED + 5), **options)


FAILED = Report(Kind.FAILED, tuple(outcomes(Status.FAILED).values()))


def test_a_report_lies_in_the_queue_under_its_id():
    disk = FakeDisk()
    bouncer(disk).send("B1", FAILED, envelope(()), read)
    line, _, message = disk.read("/data/spool/queue/B1").partition(b"\n")
    own = decode_envelope(line)
    assert (own.id, own.reverse_path, own.size) == ("B1", None, len(message))
    assert message.startswith(b"From: ")


def test_a_report_that_lies_there_is_not_made_again():
    disk = FakeDisk()
    sender = bouncer(disk)
    sender.send("B1", FAILED, envelope(()), read)
    before = disk.read("/data/spool/queue/B1")
    sender.send("B1", FAILED, envelope(()), read)
    assert disk.read("/data/spool/queue/B1") == before
    assert disk.names("/data/spool/queue") == ["B1"]


def test_whatever_crashes_there_is_one_report_in_the_end():
    def send(disk):
        sender = bouncer(disk)
        begins = len(disk.operations)
        sender.send("B1", FAILED, envelope(()), read)
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
    sender.send("B1", FAILED, envelope(()), read)
    assert [image.get("/data/spool/queue/B1") for image in disk.images()] == [b"the report"]


@pytest.mark.parametrize("place", ["hold", "journal", "corrupt"])
def test_a_report_that_has_left_the_queue_is_not_made_again(place):
    disk = FakeDisk()
    sender = bouncer(disk)
    disk.make_directories(f"/data/spool/{place}")
    disk.replace(f"/data/spool/{place}/B1", b"")
    sender.send("B1", FAILED, envelope(()), read)
    assert disk.names("/data/spool/queue") == []


def test_a_report_released_from_hold_in_between_is_left_alone():
    disk = FakeDisk()
    sender = bouncer(disk)

    def release(limit):
        disk.replace("/data/spool/queue/B1", b"released")
        return MESSAGE[:limit]

    sender.send("B1", FAILED, envelope(()), release)
    assert disk.read("/data/spool/queue/B1") == b"released"


def test_a_full_disk_is_told_and_the_next_try_succeeds():
    disk = FakeDisk(refuse=lambda operation, path: StorageFull("no room") if operation == "write" else None)
    with pytest.raises(StorageFull):
        bouncer(disk).send("B1", FAILED, envelope(()), read)
    assert disk.names("/data/spool/queue") == []


def test_a_report_is_signed_as_it_goes_out():
    seen = []

    def sign(header, body):
        seen.append((header, b"".join(body)))
        return b"DKIM-Signature: v=1\r\n"

    own, octets = bouncer(FakeDisk(), sign=sign).make("B1", FAILED, envelope(()), read)
    header, body = seen[0]
    assert octets == b"DKIM-Signature: v=1\r\n" + header + body
    assert header.endswith(b'"\r\n\r\n') and body.startswith(b"--B1/")
    assert own.size == len(octets)


def test_without_its_signature_a_report_waits():
    def sign(header, body):
        raise StorageError("the key cannot be read")

    disk = FakeDisk()
    with pytest.raises(StorageError):
        bouncer(disk, sign=sign).send("B1", FAILED, envelope(()), read)
    assert disk.names("/data/spool/queue") == []


def test_boundaries_cannot_be_guessed():
    sender = bouncer(FakeDisk())
    assert sender.make("B1", FAILED, envelope(()), read) != sender.make("B1", FAILED, envelope(()), read)


def test_the_null_reverse_path_has_no_report_to_make():
    with pytest.raises(ValueError, match="null reverse-path"):
        bouncer(FakeDisk()).make("B1", FAILED, envelope((), sender=None), read)


def test_no_more_is_read_than_is_returned():
    asked = []

    def count(limit):
        asked.append(limit)
        return MESSAGE[:limit]

    sender = bouncer(FakeDisk())
    sender.make("B1", FAILED, envelope((), ret="HDRS"), count)
    sender.make("B1", FAILED, replace(envelope((), ret="FULL"), size=SETTINGS.return_limit + 1), count)
    sender.make("B1", FAILED, envelope((), ret="FULL"), count)
    assert asked == [bounce.HEADER_LIMIT, bounce.HEADER_LIMIT, len(MESSAGE)]


@pytest.mark.parametrize("line", [b"X: y\r\n", b"X: " + b"y" * 900 + b"\r\n"])
def test_an_endless_header_is_cut_at_a_line(line):
    message = line * 20_000

    _, octets = bouncer(FakeDisk()).make("B1", FAILED, replace(envelope(()), size=len(message)), lambda n: message[:n])
    returned = octets[octets.index(b"text/rfc822-headers") :]
    assert bounce.HEADER_LIMIT - 1000 < returned.count(line) * len(line) <= bounce.HEADER_LIMIT
    assert returned.split(b"\r\n\r\n", 1)[1].startswith(line)
    assert b"\r\n\r\n--B1/" in returned


def test_a_header_without_a_line_end_is_no_header():
    message = b"y" * (bounce.HEADER_LIMIT + 5)
    _, octets = bouncer(FakeDisk()).make("B1", FAILED, replace(envelope(()), size=len(message)), lambda n: message[:n])
    assert len(octets) < 2 * bounce.HEADER_LIMIT


def test_own_words_come_from_the_template_directory():
    disk = FakeDisk()
    disk.make_directories("/words")
    disk.replace("/words/de.txt", b"[author]\nPoststelle\n[nonsense]\nx\n")
    settings = replace(SETTINGS, languages=("de",), template_dir="/words")
    sender = Bouncer(disk, "/data", Spool(disk, "/data"), settings, FakeClock(RECEIVED))
    assert sender.complaints == ["/words/de.txt:3: [nonsense]: there is no such section"]
    _, octets = sender.make("B1", FAILED, envelope(()), read)
    assert octets.startswith(b"From: Poststelle <MAILER-DAEMON@mx.sender.example>\r\n")
