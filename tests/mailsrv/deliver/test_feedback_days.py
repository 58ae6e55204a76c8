"""A day's rows become reports: to whom, once, and what keeps one from being made."""

import gzip
from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from mailsrv.authn.aggregate_xml import read_report
from mailsrv.config.schema import Config, DmarcConfig
from mailsrv.deliver import feedback_days
from mailsrv.deliver.feedback_days import Days, ReportingSettings, Services
from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode
from mailsrv.spool.layout import Layout, prepare
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.store.feedback_layout import FeedbackLayout, beginning_of
from mailsrv.store.feedback_ledger import Ledger
from mailsrv.store.feedback_lines import write_left_out, write_row
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk
from tests.fakes.dns import FakeResolver
from tests.fakes.log import FakeLog
from tests.mailsrv.store.test_feedback_lines import ROW

DATA = "/srv/mail"
DAY = "2023-11-14"
NEXT = beginning_of(DAY) + 86_400
CONTACT = Address("postmaster", "here.example")
SETTINGS = ReportingSettings("mx.here.example", "Here", CONTACT)
ZONE = """
_dmarc.example.org TXT v=DMARC1; p=none; rua=mailto:a@example.org
_dmarc.other.example TXT v=DMARC1; p=reject; rua=mailto:b@reports.example
other.example._report._dmarc.reports.example TXT v=DMARC1
"""
OTHER = replace(ROW, record_domain="other.example", record="v=DMARC1; p=reject; rua=mailto:b@reports.example")


class Scene:
    """A disk with rows, and what makes reports of them."""

    def __init__(self, *rows, zone=ZONE, disk=None, now=NEXT + 20_000.0, sign=None):
        self.disk = disk or FakeDisk()
        self.layout = FeedbackLayout(DATA)
        if disk is None:
            prepare(self.disk, DATA)
            for directory in self.layout.directories:
                self.disk.make_directories(directory)
            lines = [row if isinstance(row, bytes) else write_row(row) for row in rows]
            self.disk.append(self.layout.rows_of(DAY), b"".join(line + b"\n" for line in lines))
            self.disk.settle()
        self.clock = FakeClock(now)
        self.log = FakeLog()
        self.resolver = FakeResolver(zone)
        ids = QueueIds(FakeClock(1_700_000_000.0), 0)
        services = Services(
            self.disk, Spool(self.disk, DATA), self.layout, self.clock, self.log, lambda: self.resolver.query,
            lambda: child(ids.new(), 0), sign,
        )  # fmt: skip
        self.days = Days(services, SETTINGS)

    def queued(self):
        """(envelope, message) of everything in the queue."""
        queue = Layout(DATA).queue
        found = []
        for name in sorted(self.disk.names(queue)):
            line, _, octets = self.disk.read(f"{queue}/{name}").partition(b"\n")
            found.append((decode(line).envelope, octets))
        return found

    def ledger(self):
        return Ledger(self.disk, self.layout, DAY).load()


def open_letter(octets):
    message = message_from_bytes(octets, policy=policy.default)
    file = list(message.iter_parts())[-1]
    return message, read_report(gzip.decompress(file.get_content()))


def test_a_report_is_queued_for_whoever_wants_it():
    scene = Scene(ROW, ROW, replace(ROW, client="192.0.2.2"), OTHER)
    assert scene.days.report(DAY)
    queued = scene.queued()
    assert [[str(one.address) for one in envelope.recipients] for envelope, _ in queued] == [
        ["a@example.org"], ["b@reports.example"],
    ]  # fmt: skip
    envelope, octets = queued[0]
    assert envelope.reverse_path == CONTACT
    assert (envelope.client, envelope.size, envelope.account) == ("report", len(octets), "")
    assert envelope.recipients[0].dsn.notify == ("NEVER",)
    message, report = open_letter(octets)
    assert message["To"] == "a@example.org"
    assert report.metadata.report_id == f"{envelope.id}@mx.here.example"
    assert (report.metadata.begin, report.metadata.end) == (NEXT - 86_400, NEXT - 1)
    assert (report.metadata.organization, report.metadata.email) == ("Here", str(CONTACT))
    assert [(one.source, one.count) for one in report.records] == [("192.0.2.1", 2), ("192.0.2.2", 1)]
    assert report.policy.domain == "example.org"
    told = scene.log.named("feedback")
    assert [(one["state"], one["domain"], one["messages"]) for one in told] == [
        ("queued", "example.org", 3), ("queued", "other.example", 1),
    ]  # fmt: skip


def test_a_day_is_done_once():
    scene = Scene(ROW, write_left_out(5))
    assert scene.days.report(DAY)
    known = scene.ledger()
    assert known.done is not None
    assert known.done.left_out == 5
    scene.disk.settle()
    assert scene.days.report(DAY)
    assert len(scene.queued()) == 1
    assert Scene(disk=scene.disk).days.report(DAY)
    assert len(scene.queued()) == 1


@pytest.mark.parametrize(
    ("row", "zone", "reason"),
    [
        (OTHER, "", "not wanted at b@reports.example"),
        (replace(ROW, record="v=DMARC1; rua=https://example.org/"), "", "no address that takes reports"),
        (replace(ROW, record_domain="x\r\nBcc: all@example.org"), "", "not the name of a domain that mail comes from"),
        (replace(ROW, record_domain=""), "", "not the name of a domain that mail comes from"),
        (replace(ROW, record="\ud800"), "", "no address that takes reports"),
        (replace(ROW, record="rua=mailto:a@example.org"), "", "no address that takes reports"),
    ],
)
def test_nobody_gets_what_nobody_wants(row, zone, reason):
    scene = Scene(row, zone=zone)
    assert scene.days.report(DAY)
    assert scene.queued() == []
    assert [one.reason for one in scene.ledger().skipped.values()] == [reason]
    assert [one["reason"] for one in scene.log.named("feedback")] == [reason]


def test_a_day_waits_for_the_dns_and_not_for_ever():
    scene = Scene(ROW, OTHER, zone=ZONE + "FAIL other.example._report._dmarc.reports.example")
    assert not scene.days.report(DAY)
    assert len(scene.queued()) == 1
    scene.clock.advance(86_400)
    assert not scene.days.report(DAY)
    scene.clock.advance(86_400)
    assert scene.days.report(DAY)
    assert len(scene.queued()) == 1
    assert list(scene.ledger().skipped) == ["other.example"]


def test_the_dns_that_comes_back():
    scene = Scene(OTHER, zone="FAIL other.example._report._dmarc.reports.example")
    assert not scene.days.report(DAY)
    scene.resolver = FakeResolver(ZONE)
    assert scene.days.report(DAY)
    assert len(scene.queued()) == 1


def test_nobody_wants_an_old_report():
    scene = Scene(ROW, now=NEXT + 8 * 86_400.0)
    assert scene.days.report(DAY)
    assert [one.reason for one in scene.ledger().skipped.values()] == ["too old"]


def test_a_report_that_is_too_large(monkeypatch):
    monkeypatch.setattr(feedback_days, "MAX_MESSAGE", 500)
    scene = Scene(ROW)
    assert scene.days.report(DAY)
    assert scene.queued() == []
    assert scene.log.named("feedback")[0]["reason"] == "larger than 500 octets"


def test_time_that_is_up_ends_a_round_between_two_reports():
    scene = Scene(ROW, OTHER)
    assert not scene.days.report(DAY, until=scene.clock.monotonic())
    assert scene.queued() == []
    assert scene.days.report(DAY)
    assert len(scene.queued()) == 2


def test_a_dns_that_does_not_tell_keeps_nobody_else_waiting():
    """Each domain takes so long that a round ends with it; the next round goes on behind it."""
    scene = Scene(ROW, OTHER, zone=ZONE.replace("_report", "_other"))
    scene.resolver = FakeResolver("FAIL other.example._report._dmarc.reports.example")
    slow = replace(OTHER, record_domain="a.example")
    scene.disk.append(scene.layout.rows_of(DAY), write_row(slow) + b"\n")
    scene.resolver = FakeResolver("FAIL a.example._report._dmarc.reports.example\nFAIL reports.example\n" + ZONE)
    query = scene.resolver.query

    def wait(name, kind):
        scene.clock.advance(20)
        return query(name, kind)

    scene.resolver.query = wait
    rounds = 0
    while not scene.queued() and rounds < 10:
        assert not scene.days.report(DAY, scene.clock.monotonic() + 10)
        rounds += 1
    assert rounds < 4


def test_a_report_is_signed():
    def sign(header, body):
        assert header.endswith(b"\r\n\r\n")
        assert b"".join(body).startswith(b"--report.")
        return b"DKIM-Signature: so\r\n"

    scene = Scene(ROW, sign=sign)
    scene.days.report(DAY)
    assert scene.queued()[0][1].startswith(b"DKIM-Signature: so\r\nFrom: ")


def test_what_was_named_is_made_again_under_its_id_before_anything_else():
    scene = Scene(ROW)
    queue = Layout(DATA).queue
    scene.disk.refuse = lambda operation, path: StorageError("no") if (operation, path) == ("open", queue) else None
    with pytest.raises(StorageError):
        scene.days.report(DAY)
    (named,) = scene.ledger().pending
    again = Scene(disk=scene.disk, zone="FAIL example.org")
    scene.disk.refuse = None
    again.days.restore(DAY)
    assert [envelope.id for envelope, _ in again.queued()] == [named.id]
    assert again.ledger().pending == []
    again.days.restore(DAY)
    assert again.days.report(DAY)
    assert len(again.queued()) == 1


def test_a_report_whose_rows_are_gone():
    scene = Scene(ROW)
    queue = Layout(DATA).queue
    scene.disk.refuse = lambda operation, path: StorageError("no") if (operation, path) == ("open", queue) else None
    with pytest.raises(StorageError):
        scene.days.report(DAY)
    scene.disk.refuse = None
    scene.disk.cut(scene.layout.rows_of(DAY), 0)
    again = Scene(disk=scene.disk)
    assert again.days.report(DAY)
    assert [one.reason for one in again.ledger().skipped.values()] == ["its rows are gone"]


def test_reports_are_spread():
    scene = Scene()
    times = {scene.days.due_at(f"2023-11-{day}") - beginning_of(f"2023-11-{day}") - 86_400 for day in range(10, 30)}
    assert len(times) > 15
    assert all(1800 <= seconds < 1800 + 14_400 for seconds in times)
    assert scene.days.due_at(DAY) == Scene().days.due_at(DAY)


@pytest.mark.parametrize(
    ("domains", "contact", "author"),
    [
        (["here.example"], "postmaster", "postmaster@here.example"),
        (["mx.here.example", "here.example"], "postmaster", "postmaster@mx.here.example"),
        ([], "dmarc", "dmarc@mx.here.example"),
        (["here.example"], "dmarc@reports.example", "dmarc@reports.example"),
    ],
)
def test_who_reports(domains, contact, author):
    config = Config(
        hostname="mx.here.example", data_dir=DATA, domains=domains, dmarc=DmarcConfig(contact=contact, organization="")
    )
    settings = ReportingSettings.from_config(config)
    assert (str(settings.contact), settings.organization) == (author, "mx.here.example")
