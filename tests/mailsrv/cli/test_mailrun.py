"""mailrun: what it does to messages, what it refuses to do to all of them, and what it tells the runner."""

from pathlib import Path

import pytest

from mailsrv.cli.mailrun import main
from mailsrv.spool.layout import Layout
from mailsrv.spool.paused import Paused
from mailsrv.spool.summary import read_summary
from mailsrv.system.disk import Disk
from mailsrv.system.wake import Doorbell
from tests.mailsrv.cli.queue_house import MESSAGE, House, build

Output = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def run(house: House, *arguments: str) -> int:
    return main(["--config", str(house.config), *arguments])


def due(house: House, identifier: str) -> float:
    summary = read_summary(Disk(), Layout(house.layout.data_dir), identifier)
    assert summary is not None
    return summary.next_attempt


def test_the_whole_queue_now(house: House, capsys: Output) -> None:
    one, two = house.put(), house.put()
    house.defer(one, "451 later")
    house.clock.advance(10)
    with Doorbell(house.layout.wake) as bell:
        assert run(house) == 0
        assert bell.take() == [b"*"]
    assert capsys.readouterr().out == "2 messages are tried now\n"
    assert due(house, one) == due(house, two) == house.clock.now()


def test_one_message_now(house: House, capsys: Output) -> None:
    one, two = house.put(), house.put()
    house.defer(one, "451 later")
    house.defer(two, "451 later")
    with Doorbell(house.layout.wake) as bell:
        assert run(house, one) == 0
        assert bell.take() == [f"!{one}".encode()]
    assert capsys.readouterr().out == f"{one}: is tried again now\n"
    assert due(house, one) == house.clock.now() < due(house, two)
    assert run(house, "retry", "--error", "LATER", "--to-domain", "example.net") == 0
    assert due(house, two) == house.clock.now()


def test_everything_needs_all(house: House, capsys: Output) -> None:
    identifier = house.put()
    for action in ("retry", "hold", "release", "cancel", "delete"):
        assert run(house, action) == 2
    assert "--all" in capsys.readouterr().err
    assert run(house, "delete", "--all", "--dry-run") == 0
    assert capsys.readouterr().out == (
        f"{identifier}: would be deleted, and nobody told (new, from ada@example.com, 1 recipients)\n"
    )
    assert house.names("queue") == {identifier}
    assert run(house, "delete", "--all") == 0
    assert house.names("queue") == set()
    assert run(house, "delete", "--all") == 1
    assert "no message in the queue is meant" in capsys.readouterr().err


def test_hold_and_release(house: House, capsys: Output) -> None:
    identifier = house.put()
    assert run(house, "hold", identifier, "--reason", "looks odd") == 0
    assert (house.names("queue"), house.names("hold")) == (set(), {identifier})
    assert run(house, "hold", identifier) == 1
    assert run(house, "retry", identifier) == 1
    with Doorbell(house.layout.wake) as bell:
        assert run(house, "release", "--status", "held") == 0
        assert bell.take() == [identifier.encode()]
    assert (house.names("queue"), house.names("hold")) == ({identifier}, set())
    assert run(house, "release", identifier) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{identifier}: is held", f"{identifier}: is held already", f"{identifier}: is held; release it first",
        f"{identifier}: is back in the queue", f"{identifier}: is not held",
    ]  # fmt: skip


@pytest.mark.parametrize("held", [False, True])
def test_cancel_sends_a_report_and_delete_does_not(house: House, held: bool, capsys: Output) -> None:
    identifier = house.put("bob@example.net", "eve@example.org")
    other = house.put()
    if held:
        run(house, "hold", "--all")
        capsys.readouterr()
    assert run(house, "cancel", identifier, "--reason", "spam run") == 0
    assert capsys.readouterr().out == (
        f"{identifier}: is cancelled for 2 recipients; a report goes to ada@example.com\n"
    )
    left = house.names("queue") | house.names("hold")
    (report,) = left - {other}
    assert report != identifier
    text = Path(house.layout.queue, report).read_text()
    assert "cancelled by the postmaster: spam run" in text
    assert text.count("Action: failed") == 2
    assert run(house, "delete", other) == 0
    assert house.names("queue") | house.names("hold") == {report}


def test_a_report_is_cancelled_without_a_report(house: House, capsys: Output) -> None:
    identifier = house.put(sender="")
    assert run(house, "cancel", "--from", "<>") == 0
    assert capsys.readouterr().out == f"{identifier}: is cancelled for 1 recipient; its sender gets no report\n"
    assert house.names("queue") == set()


def test_cancelling_again_after_a_crash_makes_no_second_report(house: House, capsys: Output) -> None:
    from mailsrv.cli.queue_actions import Actions, Done
    from mailsrv.cli.queue_place import open_place
    from mailsrv.spool.claim import Claim

    identifier = house.put()

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Claim, "finish", cut)
        summary = read_summary(Disk(), house.layout, identifier)
        assert summary is not None
        with pytest.raises(KeyboardInterrupt):
            Actions(open_place(str(house.config))).cancel(summary)
    assert len(house.names("queue")) == 2
    assert run(house, "cancel", identifier) == 0
    (report,) = house.names("queue")
    assert report != identifier
    assert Done("x") == Done("x", "")


def test_a_message_that_is_being_delivered(house: House, capsys: Output) -> None:
    busy, free = house.put(), house.put()
    with house.claims.try_claim(busy) or pytest.fail("no claim"):
        assert run(house, "delete", busy, free) == 75
        assert capsys.readouterr().out.splitlines() == [
            f"{busy}: is being delivered just now, nothing was done; try again",
            f"{free}: is deleted; nobody is told",
        ]
        assert run(house, "hold", busy) == 0
        assert "it is held from the end of this attempt" in capsys.readouterr().out
    assert house.names("hold") == {busy}


def test_reroute_is_noted(house: House, capsys: Output) -> None:
    identifier = house.put()
    with Doorbell(house.layout.wake) as bell:
        assert run(house, "reroute", identifier, "--next-hop", "smtp:backup.example.org:2525") == 0
        assert bell.take() == [f"!{identifier}".encode()]
    summary = read_summary(Disk(), house.layout, identifier)
    assert summary is not None
    assert [(note.action, note.text) for note in summary.notes] == [("reroute", "smtp:backup.example.org:2525")]
    assert run(house, "reroute", identifier, "--next-hop", "default") == 0
    assert run(house, "reroute", identifier, "--next-hop", "direct") == 2
    assert run(house, "reroute", identifier, "--next-hop", "nonsense") == 2
    assert run(house, "reroute", identifier) == 2


def test_cat(house: House, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    identifier = house.put(account="ada")
    house.defer(identifier, "451 4.7.1 later")
    run(house, "reroute", identifier, "--next-hop", "mx:example.org")
    capfdbinary.readouterr()
    assert run(house, "cat", identifier) == 0
    out = capfdbinary.readouterr().out
    assert MESSAGE in out
    for line in (
        b"sender: ada@example.com", b"account: ada", b"recipient 0: bob@example.net (delayed)",
        b"recipient 0 delayed: host mx.example.net [192.0.2.1] said: 451 4.7.1 later", b"reroute mx:example.org",
    ):  # fmt: skip
        assert line in out
    assert run(house, "cat", identifier[:-1] + "9") == 1


def test_pause_and_resume(house: House, capsys: Output) -> None:
    with Doorbell(house.layout.wake) as bell:
        assert run(house, "pause", "Example.NET", "--reason", "they move") == 0
        assert run(house, "pause", "someone.relayed.example") == 0
        assert run(house, "pause", "relayed.example") == 0
        assert bell.take() == [b"-", b"-", b"-"]
    assert capsys.readouterr().out.splitlines() == [
        "example.net: is paused", "someone.relayed.example: is paused", "smtp:relay.example.org:587: is paused",
    ]  # fmt: skip
    paused = Paused(Disk(), house.layout)
    assert paused.is_paused("example.net")
    assert paused.is_paused("smtp:relay.example.org:587")
    assert run(house, "pause") == 0
    assert "they move" in capsys.readouterr().out
    assert run(house, "resume", "example.net") == 0
    assert run(house, "resume", "relayed.example") == 0
    assert run(house, "resume", "example.org") == 1
    assert set(paused.all()) == {"someone.relayed.example"}


def test_an_action_that_does_not_exist(house: House, capsys: Output) -> None:
    assert run(house, "destroy") == 2
    assert "is no queue ID, and no action" in capsys.readouterr().err
