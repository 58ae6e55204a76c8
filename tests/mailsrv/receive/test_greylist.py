"""RCPT from elsewhere: who is listed, who has to come back, who gets past, and what the record says of it."""

import dataclasses

import pytest

from mailsrv.config.schema import BansConfig, DnsblConfig, GreylistConfig
from mailsrv.errors import StorageError
from mailsrv.receive.recipient import OK
from mailsrv.smtp.events import Kind
from mailsrv.store.senders import Senders
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.log import FakeLog
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_config, make_house

ZONE = """
7.2.0.192.bad.example   A    127.0.0.2
7.2.0.192.bad.example   TXT  Spam seen
9.2.0.192.bad.example   A    127.0.0.2
9.2.0.192.good.example  A    127.0.0.2
FAIL 7.2.0.192.down.example
"""
GREY = GreylistConfig(enabled=True)
NO_LISTS = DnsblConfig()
LISTS = DnsblConfig(zones=["bad.example"], allow_zones=["good.example"])
FAR = "author@far.example"


class Broken:
    """Storage of senders that always fails."""

    def _fail(self, *_: str) -> float:
        raise StorageError("the disk is gone")

    seen = is_known = passed = _fail


class Place:
    """A house with the real storage of senders."""

    def __init__(self, path, greylist=GREY, dnsbl=NO_LISTS, **more):
        (path / "run").mkdir()
        self.resolver = FakeResolver(ZONE)
        self.clock = FakeClock()
        self.senders = Senders(Disk(), str(path), greylist, self.clock, FakeLog())
        config = make_config(greylist=greylist, dnsbl=dnsbl, **more)
        self.house = make_house(
            config=config, clock=self.clock, senders=self.senders, lookups=lambda: self.resolver.query
        )

    def asked(self):
        """The lists' names that were asked."""
        return [name for name, _ in self.resolver.queries if name.endswith((".bad.example", ".good.example"))]

    def dialogue(self, client="192.0.2.7", kind=Kind.SMTP):
        dialogue = Dialogue(self.house, kind, client=client)
        dialogue.hello()
        return dialogue

    def rcpt(self, *recipients, sender=FAR, client="192.0.2.7"):
        """The replies to RCPT in a session of its own."""
        return begin(self.dialogue(client), *recipients, sender=sender)

    def rules(self):
        """(rule, input, result) of the last record, of what this file is about."""
        mine = ("dnsbl", "greylist", "known_sender", "bans.allow")
        rules = self.house.decisions.written[-1]["rules"]
        return [(one["rule"], one["input"], one["result"]) for one in rules if one["rule"] in mine]


def begin(dialogue, *recipients, sender=FAR):
    recipients = recipients or ("alice@example.org",)
    return dialogue.say(f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients))[1:]


def end(dialogue):
    dialogue.say("RSET")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def greylisted(replies, seconds):
    return [f"451 4.7.1 greylisted, try again in {seconds} seconds id=SESSION"] * len(replies) == replies


TAKEN = [str(OK)]


def test_come_back_later_and_get_in(place) -> None:
    assert greylisted(place.rcpt(), 300)
    place.clock.advance(299)
    assert greylisted(place.rcpt(), 1)
    place.clock.advance(1)
    assert place.rcpt() == TAKEN
    assert place.rcpt("bob@example.org", sender="other@FAR.example", client="192.0.2.99") == TAKEN
    assert greylisted(place.rcpt(client="198.51.100.7"), 300)


@pytest.mark.parametrize(
    ("sender", "recipient", "client"),
    [
        ("", "alice@example.org", "192.0.2.7"),
        (FAR, "gone@example.org", "192.0.2.7"),
        (FAR, "Postmaster", "2001:db8::7"),
    ],
)
def test_every_kind_of_sender_and_recipient_waits(place, sender, recipient, client) -> None:
    assert greylisted(place.rcpt(recipient, sender=sender, client=client), 300)
    place.clock.advance(300)
    assert place.rcpt(recipient, sender=sender, client=client) == TAKEN


def test_the_case_of_an_address_makes_no_difference(place) -> None:
    place.rcpt("Alice@Example.ORG", sender="Author@FAR.example")
    place.clock.advance(300)
    assert place.rcpt() == TAKEN


def test_nothing_is_told_of_recipients_that_do_not_exist(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    replies = place.rcpt("nobody@example.org", "x@elsewhere.example", "loop0@example.org")
    assert [reply[:9] for reply in replies] == ["550 5.1.1", "550 5.7.1", "550 5.4.6"]
    assert place.asked() == []
    assert not (tmp_path / "senders.sqlite3").exists()


def test_it_comes_before_the_quota(tmp_path) -> None:
    place = Place(tmp_path)
    accounts = [dataclasses.replace(one, quota_bytes=10) for one in place.house.config.accounts]
    (tmp_path / "other").mkdir()
    place = Place(tmp_path / "other", accounts=accounts)
    place.house.quota.used["alice"] = 10
    assert greylisted(place.rcpt(), 300)
    place.clock.advance(300)
    assert place.rcpt()[0].startswith("452 4.2.2")


@pytest.mark.parametrize(
    ("change", "client", "kind"),
    [
        ({"greylist": GreylistConfig()}, "192.0.2.7", Kind.SMTP),
        ({"bans": BansConfig(allow=["192.0.2.0/28"]), "dnsbl": LISTS}, "192.0.2.7", Kind.SMTP),
        ({"dnsbl": LISTS}, "192.0.2.9", Kind.SMTP),  # listed as bad and as good
        ({"dnsbl": LISTS}, "127.0.0.1", Kind.SMTP),  # checks.exempt
        ({"dnsbl": LISTS}, "192.0.2.7", Kind.LMTP),
    ],
)
def test_who_gets_past(tmp_path, change, client, kind) -> None:
    place = Place(tmp_path, **change)
    assert begin(place.dialogue(client, kind)) == TAKEN


def test_an_account_gets_past(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    dialogue = place.dialogue(kind=Kind.SMTP)
    dialogue.talk._state.account = "alice"
    assert begin(dialogue, sender="alice@example.org") == TAKEN


def test_without_a_way_to_the_dns_nobody_is_checked(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    place.house = dataclasses.replace(place.house, lookups=None)
    assert place.rcpt() == TAKEN


def test_a_listed_client_is_refused_with_the_lists_words(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    dialogue = place.dialogue()
    refusal = "550 5.7.1 192.0.2.7 is listed in bad.example (Spam seen) id=SESSION"
    assert begin(dialogue, "alice@example.org", "bob@example.org") == [refusal, refusal]
    end(dialogue)
    assert place.rules() == [
        ("dnsbl", "192.0.2.7 good.example", "not listed"),
        ("dnsbl", "192.0.2.7 bad.example", "listed: 127.0.0.2 Spam seen"),
    ]
    events = place.house.log.of("refused")
    assert [(event["stage"], event["to"]) for event in events] == [
        ("rcpt", "alice@example.org"), ("rcpt", "bob@example.org"),
    ]  # fmt: skip


def test_lists_are_asked_once_in_a_session(tmp_path) -> None:
    place = Place(tmp_path, GreylistConfig(), LISTS)
    dialogue = place.dialogue("192.0.2.8")
    for _ in range(3):
        assert begin(dialogue, "alice@example.org", "bob@example.org") == TAKEN * 2
        end(dialogue)
        # Each record tells the whole story nevertheless.
        assert [rule for rule, _, _ in place.rules()] == ["dnsbl", "dnsbl"]
    assert place.asked() == ["8.2.0.192.good.example", "8.2.0.192.bad.example"]


def test_a_list_that_is_down_lists_nobody_and_greylisting_goes_on(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=DnsblConfig(zones=["down.example"]))
    dialogue = place.dialogue()
    assert greylisted(begin(dialogue), 300)
    end(dialogue)
    assert [(rule, result.partition(":")[0]) for rule, _, result in place.rules()] == [("dnsbl", "unavailable")]


def test_who_passed_dmarc_gets_past_everything(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    place.senders.passed("192.0.2.0/24", "far.example")
    dialogue = place.dialogue()
    assert begin(dialogue) == TAKEN
    end(dialogue)
    assert place.rules() == [("known_sender", "192.0.2.0/24 far.example", "exempt: has passed DMARC")]
    # The same session with another domain is listed.
    assert begin(dialogue, sender="x@sub.far.example")[0].startswith("550 5.7.1")
    end(dialogue)
    assert begin(dialogue, sender="X@FAR.example") == TAKEN
    assert place.rcpt(sender="")[0].startswith("550 5.7.1")


def test_who_came_back_gets_past_greylisting_but_no_list(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    place.rcpt(client="192.0.2.8")
    place.clock.advance(300)
    assert place.rcpt(client="192.0.2.8") == TAKEN
    assert place.rcpt(client="192.0.2.7")[0].startswith("550 5.7.1")


def test_the_record_says_what_was_seen(place) -> None:
    for advance, results in (
        (100, []),
        (250, []),
        (0, ["accept: came back after 350 seconds"]),
        (0, ["accept: has come back before"]),
    ):
        dialogue = place.dialogue()
        begin(dialogue)
        end(dialogue)
        assert place.rules() == [("greylist", "192.0.2.0/24 <author@far.example>", result) for result in results]
        (recipient,) = place.house.decisions.written[-1]["recipients"]
        assert recipient.get("reply", "").startswith("451 4.7.1 greylisted") is not bool(results)
        place.clock.advance(advance)


def test_rules_tell_no_recipient_of_another(place) -> None:
    """They stand in the message: whoever gets a blind copy is neither named nor counted there."""
    place.rcpt("alice@example.org")
    place.clock.advance(200)
    place.rcpt("alice@example.org", "bob@example.org")
    place.clock.advance(100)
    dialogue = place.dialogue()
    replies = begin(dialogue, "bob@example.org", "alice@example.org", "team@example.org", "alice+x@example.org")
    assert [reply[:3] for reply in replies] == ["451", "250", "250", "250"]
    end(dialogue)
    assert place.rules() == [("greylist", "192.0.2.0/24 <author@far.example>", "accept: came back after 300 seconds")]


def test_mail_is_taken_when_the_storage_fails(tmp_path) -> None:
    place = Place(tmp_path, dnsbl=LISTS)
    place.house = dataclasses.replace(place.house, senders=Broken())
    dialogue = place.dialogue("192.0.2.8")
    assert begin(dialogue) == TAKEN
    end(dialogue)
    assert [(rule, result) for rule, _, result in place.rules() if rule != "dnsbl"] == [
        ("known_sender", "unavailable"),
        ("greylist", "accept: the storage of senders is unavailable"),
    ]


def test_without_storage_there_is_no_greylisting(place) -> None:
    place.house = dataclasses.replace(place.house, senders=None)
    assert place.rcpt() == TAKEN


def test_a_damaged_file_refuses_no_mail(place, tmp_path) -> None:
    (tmp_path / "senders.sqlite3").write_bytes(b"garbage" * 1000)
    dialogue = place.dialogue()
    # The first question finds it and has it set aside; the next one greylists again.
    assert greylisted(begin(dialogue), 300)
    end(dialogue)
    assert [(rule, result) for rule, _, result in place.rules()] == [("known_sender", "unavailable")]
