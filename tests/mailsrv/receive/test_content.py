"""The message: header rules, trace fields, delivery, replies, LMTP's list."""

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.errors import StorageError, StorageFull
from mailsrv.receive import content
from mailsrv.smtp.events import Kind
from mailsrv.smtp.replies import TOO_BIG
from tests.fakes.clock import FakeClock
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_config, make_house, with_limits

MESSAGE = b"Subject: hello\r\nFrom: a@far.example\r\n\r\nhi\r\n"


def open_smtp(house=None, kind=Kind.SMTP, **more) -> Dialogue:
    dialogue = Dialogue(house or make_house(), kind, **more)
    dialogue.hello()
    return dialogue


def kept(dialogue: Dialogue) -> bytes:
    return dialogue.house.delivery.kept[-1][2]


def test_received_comes_on_top_and_nothing_else_changes() -> None:
    dialogue = open_smtp()
    assert dialogue.send(MESSAGE) == ["250 2.0.0 accepted as SESSION0"]
    assert kept(dialogue) == (
        b"Received: from client.example ([192.0.2.7])\r\n"
        b"\tby mx.example.org with ESMTP id SESSION0\r\n"
        b"\tfor <alice@example.org>; Tue, 14 Nov 2023 22:13:20 +0000\r\n" + MESSAGE
    )
    envelope, return_path, stored = dialogue.house.delivery.kept[0]
    assert return_path == b"Return-Path: <author@far.example>\r\n"
    assert (envelope.id, envelope.size, envelope.client) == ("SESSION0", len(stored), "192.0.2.7")


def test_eight_bit_data_passes_untouched() -> None:
    dialogue = open_smtp()
    message = b"Subject: \xfc\r\n\r\n\xff\xfe\x80\r\n"
    dialogue.send(message)
    assert kept(dialogue).endswith(message)


def test_for_is_told_with_one_recipient_only() -> None:
    dialogue = open_smtp()
    dialogue.send(MESSAGE, "a@far.example", "alice@example.org", "bob@example.org")
    assert b"for <" not in kept(dialogue)


def test_null_reverse_path() -> None:
    dialogue = open_smtp()
    dialogue.send(MESSAGE, "")
    assert dialogue.house.delivery.kept[0][1] == b"Return-Path: <>\r\n"


@pytest.mark.parametrize(
    "message",
    [
        b"Return-Path: <x@y.example>\r\nSubject: a\r\n\r\nReturn-Path: stays\r\n",
        b"Subject: a\r\nreturn-path:\r\n <x@y.example>\r\n\r\nReturn-Path: stays\r\n",
        b"RETURN-PATH : a\r\nSubject: a\r\nReturn-Path: b\r\n\r\nReturn-Path: stays\r\n",
    ],
)
def test_old_return_paths_go(message: bytes) -> None:
    dialogue = open_smtp()
    dialogue.send(message)
    assert kept(dialogue).endswith(b"+0000\r\nSubject: a\r\n\r\nReturn-Path: stays\r\n")
    assert kept(dialogue).count(b"Return-Path") == 1


def test_a_return_path_behind_text_does_not_make_the_text_a_part_of_our_field() -> None:
    dialogue = open_smtp()
    dialogue.send(b" by another.example; yesterday\r\nReturn-Path: <x@y.example>\r\n\r\nbody\r\n")
    assert b"+0000\r\n\r\n by another.example; yesterday\r\n" in kept(dialogue)


@pytest.mark.parametrize(
    ("message", "between"),
    [(b"just text\r\n", b"\r\n"), (b" folded\r\n", b"\r\n"), (b"\r\nbody\r\n", b""), (b"A: b\r\n", b"")],
)
def test_text_without_header_does_not_join_ours(message: bytes, between: bytes) -> None:
    dialogue = open_smtp()
    dialogue.send(message)
    assert kept(dialogue).endswith(b"+0000\r\n" + between + message)


def test_an_empty_message_is_a_message() -> None:
    dialogue = open_smtp()
    assert dialogue.send(b"") == ["250 2.0.0 accepted as SESSION0"]
    assert kept(dialogue).startswith(b"Received: ")


@pytest.mark.parametrize("name", [b"Received", b"received ", b"RECEIVED"])
def test_loops_end(name: bytes) -> None:
    dialogue = open_smtp(make_house(config=with_limits(received_fields=50)))
    message = (name + b": from x\r\n") * 50 + b"Received-SPF: pass\r\nX: Received: no\r\n\r\nReceived: body\r\n"
    assert dialogue.send(message)[0].startswith("250")
    reply = dialogue.send(name + b": from x\r\n" + message)
    assert reply == ["554 5.4.6 too many Received fields: the message is looping id=SESSION"]
    assert len(dialogue.house.delivery.kept) == 1
    assert dialogue.house.decisions.written[1]["rules"][-1] == {
        "stage": "data", "rule": "received_fields", "input": 51, "result": "reject",
    }  # fmt: skip


def test_long_headers_are_read_to_their_bound(monkeypatch) -> None:
    dialogue = open_smtp()
    long = b"X: " + b"x" * 70 + b"\r\n"
    message = long * 500 + b"Return-Path: <x@y.example>\r\n\r\nbody\r\n"
    assert dialogue.send(message)[0].startswith("250")
    assert b"Return-Path" not in kept(dialogue)
    monkeypatch.setattr(content, "HEADER_LIMIT", 30_000)
    assert dialogue.send(message) == ["552 5.3.4 the header of the message is too long id=SESSION"]


def test_many_lines_are_no_many_fields() -> None:
    dialogue = open_smtp()
    many = b"a:\r\n" * (content.FIELDS_LIMIT - 1)
    folded = b"To: x@y.example" + b",\r\n x@y.example" * 500
    assert dialogue.send(many + folded + b"\r\n\r\nhi\r\n")[0].startswith("250")
    replies = dialogue.send(many + b"To: x@y.example\r\nCc:\r\n\r\nhi\r\n")
    assert replies[0].startswith("552 5.3.4 the header of the message has too many fields")
    assert dialogue.house.decisions.written[-1]["rules"][-1] == {
        "stage": "data", "rule": "header_fields", "input": content.FIELDS_LIMIT, "result": "reject",
    }  # fmt: skip
    assert dialogue.send(b"hi\r\n" * 20_000)[0].startswith("250")


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (StorageFull("no space left"), "452 4.3.1"),
        (StorageError("input/output error"), "451 4.3.0"),
    ],
)
def test_what_the_disk_refuses_is_not_accepted(error, reply: str) -> None:
    house = make_house()
    house.delivery.error = error
    dialogue = open_smtp(house)
    assert dialogue.send(MESSAGE)[0].startswith(reply)
    assert house.log.of("storage")[0]["reason"] == str(error)
    assert house.log.of("received") == []
    assert house.log.of("refused")[0]["stage"] == "data"
    house.delivery.error = None
    assert dialogue.send(MESSAGE)[0].startswith("250")


class BrokenScratch:
    """A scratch whose disk is full after the first octets."""

    size = 0

    def __init__(self) -> None:
        self.closed = False
        self.writes = 0

    def write(self, octets: bytes) -> None:
        self.writes += 1
        if self.writes > 1:
            raise StorageFull("no space left")

    def close(self) -> None:
        self.closed = True


def test_a_disk_that_fills_up_during_the_message() -> None:
    scratch = BrokenScratch()
    dialogue = open_smtp(make_house(scratch=lambda: scratch))
    dialogue.say("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
    for _ in range(5):
        assert dialogue.say(b"line") == []
    assert dialogue.say(".")[0].startswith("452 4.3.1")
    assert scratch.writes == 2
    assert scratch.closed


def test_disk_full_before_data() -> None:
    house = make_house()
    dialogue = open_smtp(house)
    dialogue.say("MAIL FROM:<>", "RCPT TO:<alice@example.org>")
    house.space.free = -1
    assert dialogue.say("DATA")[0].startswith("452 4.3.1")
    house.space.free = 1 << 30
    assert dialogue.say("DATA")[0].startswith("354")


def test_too_big_without_declared_size() -> None:
    from mailsrv.smtp.events import Limits

    dialogue = open_smtp(limits=Limits(message_size=100))
    reply = dialogue.send(b"x" * 200 + b"\r\n")
    assert reply[0].startswith(str(TOO_BIG))
    assert not dialogue.house.delivery.kept


def test_quota_when_the_size_was_not_declared() -> None:
    house = make_house(config=make_config(limits=LimitsConfig(quota_bytes=10_000)))
    dialogue = open_smtp(house)
    house.quota.used = {"alice": 9_000}
    big = b"Subject: x\r\n\r\n" + b"x" * 2000 + b"\r\n"
    assert dialogue.send(big)[0].startswith("452 4.2.2")
    assert dialogue.send(big, "", "alice@example.org", "bob@example.org")[0].startswith("250")
    assert dialogue.send(MESSAGE)[0].startswith("250")


def test_what_is_queued_is_counted() -> None:
    house = make_house()
    dialogue = open_smtp(house)
    assert dialogue.send(MESSAGE, "", "away@example.org")[0].startswith("250")
    assert house.decisions.written[0]["delivered"] == ["alice"]
    assert house.decisions.written[0]["queued"] == ["a@far.example"]
    assert house.throttle.counts["messages_queued"] == 1


def test_the_line_that_says_received() -> None:
    house = make_house()
    dialogue = open_smtp(house)
    dialogue.send(MESSAGE, "a@far.example", "alice@example.org", "team@example.org")
    assert house.log.of("received") == [
        {
            "id": "SESSION0", "client": "192.0.2.7", "helo": "client.example", "protocol": "ESMTP", "tls": "",
            "account": "", "from": "a@far.example", "size": len(MESSAGE), "recipients": 2, "seconds": 0.0,
        }
    ]  # fmt: skip
    counts = house.throttle.counts
    assert (counts["messages"], counts["message_octets"], counts["recipients"]) == (1, len(MESSAGE), 2)


def test_the_envelope_was_received_when_mail_came() -> None:
    clock = FakeClock()
    dialogue = open_smtp(make_house(clock=clock))
    dialogue.say("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
    clock.advance(5)
    dialogue.say(b"x", ".")
    assert dialogue.house.delivery.kept[0][0].received == clock.now() - 5


def test_chunks() -> None:
    dialogue = open_smtp()
    dialogue.say("MAIL FROM:<>", "RCPT TO:<alice@example.org>")
    half = len(MESSAGE) // 2
    dialogue.core.receive_data(b"BDAT %d\r\n%b" % (half, MESSAGE[:half]))
    assert dialogue._run()[0].startswith("250")
    dialogue.core.receive_data(b"BDAT %d LAST\r\n%b" % (len(MESSAGE) - half, MESSAGE[half:]))
    assert dialogue._run() == ["250 2.0.0 accepted as SESSION0"]
    assert kept(dialogue).endswith(MESSAGE)


# LMTP


def test_lmtp_answers_each_recipient_in_order() -> None:
    house = make_house()
    house.delivery.failures = {"bob": StorageError("broken")}
    dialogue = open_smtp(house, Kind.LMTP)
    everybody = ("bob@example.org", "alice@example.org", "team@example.org", "alice+x@example.org")
    replies = dialogue.send(MESSAGE, "", *everybody)
    assert [reply[:9] for reply in replies] == ["451 4.3.0", "250 2.0.0", "451 4.3.0", "250 2.0.0"]
    assert len(house.delivery.kept) == 1
    assert [one.account for one in house.delivery.kept[0][0].recipients] == ["bob", "alice"]
    assert house.decisions.written[0]["delivered"] == ["alice"]
    assert b"with LMTP id" in kept(dialogue)


def test_lmtp_over_quota() -> None:
    house = make_house(config=make_config(limits=LimitsConfig(quota_bytes=10_000)))
    dialogue = open_smtp(house, Kind.LMTP)
    house.quota.used = {"alice": 9_000}
    big = b"Subject: x\r\n\r\n" + b"x" * 2000 + b"\r\n"
    replies = dialogue.send(big, "", "alice@example.org", "bob@example.org")
    assert [reply[:9] for reply in replies] == ["452 4.2.2", "250 2.0.0"]
    assert [one.account for one in house.delivery.kept[0][0].recipients] == ["bob"]
    assert house.decisions.written[0]["rules"][-1] == {
        "stage": "data", "rule": "quota", "input": ["alice"], "result": "defer",
    }
    house.quota.used["bob"] = 10_000
    assert [reply[:9] for reply in dialogue.send(big, "", "alice@example.org")] == ["452 4.2.2"]


@pytest.mark.parametrize("error", [StorageFull("full"), StorageError("broken")])
def test_lmtp_when_nothing_can_be_kept(error) -> None:
    house = make_house()
    house.delivery.error = error
    replies = open_smtp(house, Kind.LMTP).send(MESSAGE, "", "alice@example.org", "bob@example.org")
    assert len(replies) == 2
    assert all(reply.startswith("45") for reply in replies)


def test_lmtp_refuses_a_loop_for_everybody() -> None:
    dialogue = open_smtp(make_house(config=with_limits(received_fields=1)), Kind.LMTP)
    replies = dialogue.send(b"Received: x\r\n" * 2 + MESSAGE, "", "alice@example.org", "bob@example.org")
    assert [reply[:9] for reply in replies] == ["554 5.4.6"] * 2
