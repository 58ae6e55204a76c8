"""Every dialog against the core: whole, octet by octet, and split at every position, with the same result each time."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailsrv.mail.reply import Reply
from mailsrv.smtp import events
from mailsrv.smtp.events import Event, Kind, Limits, Need, Offer
from mailsrv.smtp.session import ServerSession
from tests.cases.dialog import Dialog, check_replies, load, parse, unescape

DIALOGS = load(Path(__file__).parent / "smtp")
POSITIONS = 400  # at most so many splits of one dialog

YES = {
    "Connected": "220  mx.example ESMTP",
    "Hello": "250  mx.example",
    "StartTls": "220 2.0.0 go ahead",
    "Auth": "235 2.7.0 welcome",
    "AuthResponse": "235 2.7.0 welcome",
    "AuthCancelled": "501 5.7.0 cancelled",
    "Mail": "250 2.1.0 ok",
    "Rcpt": "250 2.1.5 ok",
    "DataStart": "354  go ahead",
    "DataEnd": "250 2.0.0 accepted",
    "Reset": "250 2.0.0 forgotten",
    "Quit": "221 2.0.0 bye",
}


@dataclass
class Heard:
    """What came of a run; equal for every way to split the octets."""

    events: list[str] = field(default_factory=list)
    replies: bytes = b""
    closed: bool = False
    discarded: int = 0


def read_reply(text: str) -> Reply:
    code, enhanced, words = [*text.split(" ", 2), "", ""][:3]
    return Reply(int(code), enhanced, words)


def describe(event: Event) -> str:
    """An event as `e:` lines write it: name and the fields that are not at their defaults."""
    words = [type(event).__name__]
    match event:
        case events.Hello():
            words += [event.verb, event.name]
        case events.Auth():
            words += [event.mechanism, repr(event.initial)]
        case events.AuthResponse():
            words += [repr(event.octets)]
        case events.Mail():
            words += [f"<{event.reverse_path or ''}>"]
            defaults = events.MailParameters()
            for name in ("size", "body", "smtputf8", "ret", "envid"):
                value = getattr(event.parameters, name)
                if value != getattr(defaults, name):
                    words.append(f"{name}={value}")
        case events.Rcpt():
            words += [f"<{event.forward_path}>"]
            if event.dsn.notify:
                words.append("notify=" + ",".join(event.dsn.notify))
            if event.dsn.orcpt:
                words.append("orcpt=" + event.dsn.orcpt)
        case events.DataStart():
            words += ["chunking"] if event.chunking else []
        case events.DataEnd():
            words += [str(event.size)] + ([str(event.fault)] if event.fault else [])
        case events.FramingFault():
            words += [event.kind]
    return " ".join(words)


class Script:
    """The policy of a dialog: its `p:` lines, else yes."""

    def __init__(self, dialog: Dialog) -> None:
        self.kind = Kind(dialog.directives.get("kind", "smtp"))
        self.answers: dict[str, list[list[Reply]]] = {}
        for text in dialog.marked("p"):
            name, _, answer = text.partition(" ")
            self.answers.setdefault(name, []).append([read_reply(part.strip()) for part in answer.split(" | ")])

    def answer(self, event: Event) -> Reply | list[Reply]:
        name = type(event).__name__
        scripted = self.answers.get(name)
        if scripted:
            answer = scripted.pop(0)
            return answer if len(answer) > 1 else answer[0]
        if isinstance(event, events.DataEnd) and event.fault:
            return event.fault
        if isinstance(event, events.DataStart) and event.chunking:
            return Reply(250, "2.0.0", "not sent")
        if isinstance(event, events.Auth) and event.initial is None:
            return Reply(334, "", "")
        return read_reply(YES[name])


def make_offer(words: str) -> Offer:
    mechanisms = tuple(word for word in words.split() if word != "starttls")
    return Offer("starttls" in words.split(), mechanisms)


def play(dialog: Dialog, pieces: Iterable[tuple[int, bytes]]) -> Heard:
    """Run a dialog against the core. `pieces` are (segment, octets) in order."""
    directives = dialog.directives
    limits = {name: int(value) for name, value in (word.split("=") for word in directives.get("limits", "").split())}
    session = ServerSession(
        Kind(directives.get("kind", "smtp")),
        "mx.example",
        "ID",
        Limits(**limits),
        make_offer(directives.get("offer", "")),
        tls="tls" in directives,
    )
    script, heard, present = Script(dialog), Heard(), 0
    pump(session, script, heard)
    for segment, octets in pieces:
        while present < segment:
            assert session.wants_tls, f"{dialog.name}: t: without a positive STARTTLS"
            session.tls_started(make_offer(directives.get("offer-tls", "")))
            present += 1
        session.receive_data(octets)
        pump(session, script, heard)
    if "eof" in dialog.marked("x"):
        session.eof()
        pump(session, script, heard)
    heard.closed = session.closed
    heard.discarded = session.discarded
    heard.events = merge(heard.events)
    return heard


def pump(session: ServerSession, script: Script, heard: Heard) -> None:
    while not isinstance(event := session.next_event(), Need):
        if isinstance(event, events.DataChunk):
            assert event.octets
            heard.events.append("Data " + event.octets.decode("latin-1"))
            continue
        heard.events.append(describe(event))
        if isinstance(event, events.Closed | events.FramingFault):
            break
        assert session.next_event() is events.NEED_ANSWER
        session.answer(script.answer(event))
    heard.replies += session.data_to_send()


def merge(described: list[str]) -> list[str]:
    """Join the chunks of a message, and the repeated ends of a session that is over."""
    merged: list[str] = []
    for event in described:
        if merged and event.startswith("Data ") and merged[-1].startswith("Data "):
            merged[-1] += event[5:]
        elif not (merged and event == "Closed" and merged[-1] in ("Closed", *FAULTS)):
            merged.append(event)
    return merged


FAULTS = tuple(f"FramingFault {kind}" for kind in ("bare CR", "bare LF", "NUL", "endless line"))


@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: dialog.name)
def test_dialog(dialog: Dialog) -> None:
    segments = list(enumerate(dialog.segments()))
    whole = play(dialog, segments)
    complaint = check_replies(dialog, whole.replies)
    assert not complaint, f"{complaint}\n{whole.replies.decode()}"
    assert whole.closed == ("closed" in dialog.marked("x")), whole
    given = iter(whole.events)
    for expected in dialog.marked("e"):
        wanted = unescape(expected).decode("latin-1") if expected.startswith("Data ") else expected
        assert wanted in given, f"{dialog.name}: no event {expected!r} (in this order) in {whole.events}"
    single = play(dialog, [(n, octets[i : i + 1]) for n, octets in segments for i in range(max(1, len(octets)))])
    assert single == whole
    for segment, octets in segments:
        step = max(1, len(octets) // POSITIONS)
        for at in range(1, len(octets), step):
            halves = [(segment, octets[:at]), (segment, octets[at:])]
            assert play(dialog, [*segments[:segment], *halves, *segments[segment + 1 :]]) == whole, f"split at {at}"


def test_there_are_enough() -> None:
    assert len(DIALOGS) >= 60


def test_a_wrong_reply_is_noticed() -> None:
    dialog = parse("x", "c: NOOP\ns: 250 2.0.0\ns: 221 2.0.0 bye\n")
    assert check_replies(dialog, b"250 2.0.0 ok\r\n221 2.0.0 bye\r\n") == ""
    assert "heard nothing more" in check_replies(dialog, b"250 2.0.0 ok\r\n")
    assert "heard '250 2.0.01'" in check_replies(dialog, b"250 2.0.01\r\n")
    assert "heard more" in check_replies(dialog, b"250 2.0.0\r\n221 2.0.0 bye\r\n250 x\r\n")


def test_a_malformed_dialog_is_noticed() -> None:
    for text in ("hello", "q: x", "c: x\nkind: smtp"):
        with pytest.raises(ValueError, match=r"x:\d"):
            parse("x", text)
    assert unescape(r"a\r\n\x80\u00e9\\{3*b}") == b"a\r\n\x80\xc3\xa9\\bbb"
