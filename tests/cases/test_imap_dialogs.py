"""Every dialog of the IMAP core: whole, octet by octet, and split at every position, with the same result each time.

The files are tests/cases/imap/core-*.dialog in the form of tests/cases/dialog.py, where: `state: authenticated` or
`state: selected` begins there and drops what was said before; `offer:` has starttls, login, compress and mechanisms;
`p: NAME answer` answers a command or event of that name with `OK|NO|BYE [CODE] text` or `+ octets`; `e:` is the name of
a command and its arguments, or an event; `t:` is the handshake or the begin of compression.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailsrv.imap import events, extensions
from mailsrv.imap.answers import Answer, Continue, Status, Word
from mailsrv.imap.events import Event, Need
from mailsrv.imap.extensions import CAPABILITIES
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Limits, Offer
from tests.cases.dialog import Dialog, check_replies, parse, unescape

HERE = Path(__file__).parent / "imap"
DIALOGS = [parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("core-*.dialog"))]
POSITIONS = 300  # at most so many splits of one dialog

LET_IN = {"IDLE", "APPEND", "REPLACE", "UID REPLACE", "MessageStart"}
UNANSWERED = (events.MessageChunk, events.MessageEnd, events.Aborted, events.Closed)
ANSWER = re.compile(r"(OK|NO|BYE|PREAUTH)(?: \[([^\]]*)\])? ?(.*)")


@dataclass
class Heard:
    """What came of a run; equal for every way to split the octets."""

    events: list[str] = field(default_factory=list)
    output: bytes = b""
    state: str = ""
    discarded: int = 0


def read_answer(text: str) -> Answer:
    if text.startswith("+"):
        return Continue(unescape(text[2:]))
    match = ANSWER.fullmatch(text)
    assert match, text
    return Status(Word[match[1]], match[3] or "done", match[2] or "")


def name_of(event: Event) -> str:
    return event.row.name if isinstance(event, events.Command) else type(event).__name__


def describe(event: Event) -> str:
    match event:
        case events.Command():
            return f"{event.tag} {event.row.name} {event.arguments!r}"
        case events.MessageChunk():
            return "Data " + event.octets.decode("latin-1")
        case events.AuthCancelled() | events.IdleEnd() | events.MessageStart() | events.AuthResponse():
            return repr(event)
    return type(event).__name__


class Script:
    """The answers of a dialog: its `p:` lines, else yes."""

    def __init__(self, dialog: Dialog) -> None:
        self.answers: dict[str, list[Answer]] = {}
        for text in dialog.marked("p"):
            match = re.fullmatch(r"(.+?) ((?:OK|NO|BYE|PREAUTH|\+).*)", text)
            assert match, text
            self.answers.setdefault(match[1], []).append(read_answer(match[2]))

    def answer(self, event: Event) -> Answer:
        name = name_of(event)
        if scripted := self.answers.get(name):
            return scripted.pop(0)
        return Continue() if name in LET_IN else Status(Word.OK, f"{name} done")


def make_offer(words: str) -> Offer:
    given = words.split()
    flags = ("starttls", "login", "compress")
    mechanisms = tuple(word for word in given if word not in flags)
    return Offer(mechanisms=mechanisms, **{flag: flag in given for flag in flags})


def begin(dialog: Dialog) -> ServerSession:
    """A session in the state that the dialog wants."""
    directives = dialog.directives
    limits = {name: int(value) for name, value in (word.split("=") for word in directives.get("limits", "").split())}
    offer = make_offer(directives.get("offer", "login PLAIN"))
    session = ServerSession(Limits(**limits), offer, tls="tls" in directives)
    state = directives.get("state")
    if state:
        session.next_event()
        session.answer(Status(Word.PREAUTH, "hello"))
        if state == "selected":
            session.receive_data(b"0 SELECT INBOX\r\n")
            session.next_event()
            session.answer(Status(Word.OK, "selected"))
        session.enable(*directives.get("enabled", "").split())
        session.data_to_send()
    return session


def play(dialog: Dialog, pieces: Iterable[tuple[int, bytes]]) -> Heard:
    session = begin(dialog)
    script, heard, present = Script(dialog), Heard(), 0
    pump(session, script, heard)
    for segment, octets in pieces:
        while present < segment:
            if session.wants_compression:
                session.receive_data(session.compression_started())
            else:
                assert session.wants_tls, f"{dialog.name}: t: without a positive STARTTLS or COMPRESS"
                session.tls_started(make_offer(dialog.directives.get("offer-tls", "")))
            present += 1
        session.receive_data(octets)
        pump(session, script, heard)
    if "eof" in dialog.marked("x"):
        session.eof()
        pump(session, script, heard)
    heard.state, heard.discarded = session.state.value, session.discarded
    heard.events = merge(heard.events)
    return heard


def pump(session: ServerSession, script: Script, heard: Heard) -> None:
    while not isinstance(event := session.next_event(), Need):
        heard.events.append(describe(event))
        if isinstance(event, events.Closed):
            break
        if not isinstance(event, UNANSWERED):
            assert session.next_event() is events.NEED_ANSWER
            session.answer(script.answer(event))
    heard.output += b"".join(piece for piece in session.data_to_send() if isinstance(piece, bytes))


def merge(described: list[str]) -> list[str]:
    """Join the chunks of a message, and the repeated ends of a session that is over."""
    merged: list[str] = []
    for event in described:
        if merged and event.startswith("Data ") and merged[-1].startswith("Data "):
            merged[-1] += event[5:]
        elif not (merged and event == merged[-1] == "Closed"):
            merged.append(event)
    return merged


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    """These are all that dialogs here hear of, however much else is proven."""
    names = {"IMAP4rev1", "STARTTLS", "LOGINDISABLED", "SASL-IR", "LITERAL+", "ID", "ENABLE"}
    monkeypatch.setattr(extensions, "CAPABILITIES", tuple(row for row in CAPABILITIES if row.name in names))


@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: dialog.name)
def test_dialog(dialog: Dialog) -> None:
    segments = list(enumerate(dialog.segments()))
    whole = play(dialog, segments)
    complaint = check_replies(dialog, whole.output)
    assert not complaint, f"{complaint}\n{whole.output.decode()}"
    closed = "closed" in dialog.marked("x") or "eof" in dialog.marked("x")
    assert (whole.state == "logout") == closed, whole
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
    assert len(DIALOGS) >= 40


@pytest.mark.parametrize("row", CAPABILITIES, ids=lambda row: row.name)
def test_what_is_told_is_proven(row) -> None:
    for name in row.dialogs:
        assert (HERE / f"{name}.dialog").is_file(), f"{row.name} is told, and {name}.dialog is not there"
