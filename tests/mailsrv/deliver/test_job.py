"""Jobs: who shares one, what a host is told, what is signed, and the count of what has ended."""

from dataclasses import replace

import pytest

from mailsrv.deliver.job import Delivery, make_jobs
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, MailParameters, Recipient
from tests.mailsrv.deliver.queued import MESSAGE, Spools

HOP = NextHop(HopKind.DIRECT, "remote.example")
OTHER = NextHop(HopKind.DIRECT, "other.example")
FIELD = b"DKIM-Signature: mine\r\n"


class Signer:
    def __init__(self):
        self.seen = []

    def __call__(self, header, body):
        self.seen.append((header, b"".join(body)))
        return FIELD


@pytest.fixture
def spools(tmp_path):
    return Spools(tmp_path)


def deliver(spools, *addresses, sign=None, **more):
    spools.put(*addresses, **more)
    return Delivery(spools.claim(), sign, spools.clock.now())


def forward(path, domain):
    return Address(f"SRS0={path.local_part}", domain)


def test_one_job_per_next_hop(spools):
    delivery = deliver(spools, "erin@remote.example", "frank@other.example", "grace@remote.example")
    jobs = make_jobs(delivery, {HOP: [0, 2], OTHER: [1]}, None)
    assert [(job.hop, job.indexes, str(job.reverse_path)) for job in jobs] == [
        (HOP, (0, 2), "carol@example.org"), (OTHER, (1,), "carol@example.org"),
    ]  # fmt: skip


def test_forwarded_recipients_get_a_reverse_path_of_the_alias(spools):
    members = [Recipient(Address(name, "remote.example"), original=Address("team", "ours.example")) for name in "xy"]
    delivery = deliver(spools, "erin@remote.example", *members, sender=Address("carol", "far.example"))
    jobs = make_jobs(delivery, {HOP: [0, 1, 2]}, forward)
    assert [(job.indexes, str(job.reverse_path)) for job in jobs] == [
        ((0,), "carol@far.example"), ((1, 2), "SRS0=carol@ours.example"),
    ]  # fmt: skip


@pytest.mark.parametrize(("sender", "account"), [(None, ""), (Address("ada", "ours.example"), "ada")])
def test_a_null_reverse_path_and_an_account_s_stay(spools, sender, account):
    member = Recipient(Address("x", "remote.example"), original=Address("team", "ours.example"))
    delivery = deliver(spools, member, sender=sender, account=account)
    [job] = make_jobs(delivery, {HOP: [0]}, forward)
    assert job.reverse_path == sender


def test_a_transaction_says_what_the_message_needs(spools):
    octets = "Subject: Grüße\r\n\r\nhallo\r\n".encode()
    asked = Recipient(Address("erin", "remote.example"), DsnRequest(("FAILURE",), "rfc822;erin@remote.example"))
    parameters = MailParameters(body="8BITMIME", smtputf8=True, ret="HDRS", envid="E1")
    delivery = deliver(spools, asked, "frank@remote.example", octets=octets, parameters=parameters)
    [job] = make_jobs(delivery, {HOP: [0, 1]}, None)
    said = job.transaction((0,))
    assert [one.address.local_part for one in said.recipients] == ["erin"]
    assert said.recipients[0].dsn == asked.dsn and said.parameters == parameters
    assert (said.size, said.eight_bit, said.utf8_header) == (len(octets), True, True)


@pytest.mark.parametrize(("octets", "eight_bit", "utf8_header"), [
    (MESSAGE, False, False), (b"A: b\r\n\r\n\xff\r\n", True, False), (b"A: \xc3\xbc\r\n\r\nx\r\n", True, True),
])  # fmt: skip
def test_eight_bit(spools, octets, eight_bit, utf8_header):
    delivery = deliver(spools, "erin@remote.example", octets=octets)
    delivery.prepare()
    assert (delivery.eight_bit, delivery.utf8_header) == (eight_bit, utf8_header)


@pytest.mark.parametrize(("sender", "account", "client", "signed"), [
    ("carol", "carol", "192.0.2.9", True),  # submitted
    ("carol", "", "local", True),  # by a local program
    (None, "carol", "192.0.2.9", True),  # an account's answer without a sender
    (None, "", "local", False),  # a report, signed when it was made
    ("carol", "", "192.0.2.9", False),  # forwarded for a stranger
])  # fmt: skip
def test_who_is_signed_for(spools, sender, account, client, signed):
    spools.put("erin@remote.example", sender=sender and Address(sender, "example.org"), account=account)
    signer = Signer()
    claim = spools.claim()
    claim.envelope = replace(claim.envelope, client=client)
    delivery = Delivery(claim, signer, 0.0)
    delivery.prepare()
    delivery.prepare()
    assert b"".join(delivery.blocks()) == (FIELD if signed else b"") + MESSAGE
    assert delivery.size == len(MESSAGE) + (len(FIELD) if signed else 0)
    header, body = MESSAGE.split(b"\r\n\r\n")
    assert signer.seen == ([(header + b"\r\n\r\n", body)] if signed else [])


def test_the_last_job_is_told(spools):
    delivery = deliver(spools, "erin@remote.example")
    delivery.expect(3)
    said = []
    for _ in range(3):
        said.append((delivery.has_more, delivery.end_job()))
    assert said == [(True, False), (True, False), (False, True)]
