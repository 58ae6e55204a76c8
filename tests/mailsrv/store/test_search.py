"""Searches in a real mailbox against a slow model that knows what each message was made of."""

import base64
import quopri
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.imap.numbers import NumberSet, SequenceSet
from mailsrv.imap.search_arguments import Algorithm, Criterion, SortKey
from mailsrv.imap.search_keys import (
    Among,
    And,
    Comparison,
    Contains,
    Dated,
    DateOf,
    Everything,
    HasEmailId,
    HasFlag,
    HasThreadId,
    HeaderContains,
    Larger,
    Modified,
    Not,
    Older,
    Or,
    SaveDateSupported,
    Smaller,
    Where,
    Younger,
)
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.search_budget import Budget, SearchLimit
from mailsrv.store.values import Operation
from tests.fakes.clock import FakeClock
from tests.mailsrv.store.mailbox import Account

NOW = 1_700_000_000
DAY = 86400
ZONES = ("+0000", "-1100", "+1300")


@dataclass(frozen=True)
class Made:
    """What a message is made of; `fields` are the decoded values."""

    fields: dict
    body: str
    encoding: str
    sent: datetime | None
    zone: str
    received: int
    flags: frozenset

    @property
    def octets(self):
        lines = [f"{name}: {encode(value)}" for name, value in self.fields.items()]
        if self.sent is not None:
            lines.append(f"Date: {self.sent:%d} {MONTHS[self.sent.month - 1]} {self.sent:%Y %H:%M:%S} {self.zone}")
        octets = self.body.encode()
        if self.encoding == "base64":
            octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        elif self.encoding == "quoted-printable":
            octets = quopri.encodestring(octets).replace(b"\n", b"\r\n")
        lines += ["Content-Type: text/plain; charset=utf-8", f"Content-Transfer-Encoding: {self.encoding}", "", ""]
        return "\r\n".join(lines).encode() + octets + b"\r\n"


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def encode(value):
    """A value with encoded words for what is beyond ASCII."""
    return re.sub(
        r"[^\x00-\x7f](?:[^<>,]*[^\x00-\x7f])?",
        lambda found: f"=?utf-8?b?{base64.b64encode(found[0].encode()).decode()}?=",
        value,
    )


def made(number, subject, body, **more):
    fields = {"Subject": subject, "From": f"Person {number} <p{number}@example.org>", "To": "me@example.net"}
    fields |= {name.replace("_", "-"): value for name, value in more.pop("fields", {}).items()}
    one = Made(
        {name: value for name, value in fields.items() if value is not None},
        body,
        ("8bit", "base64", "quoted-printable")[number % 3],
        datetime(2023, 11, 1, tzinfo=UTC) + timedelta(hours=7 * number),
        ZONES[number % 3],
        NOW - number * 40_000,
        frozenset({"\\Seen"} if number % 2 else {"\\Flagged", "\\Answered"}),
    )
    return replace(one, **more)


MESSAGES = [
    made(0, "Hello world", "some body text"),
    made(1, "Re: Hello world", "Straße und Grüße", fields={"Cc": "Zoë <z@example.com>", "References": "<a@x>"}),
    made(2, "Größe", "the world is here", fields={"X_Thing": "special value", "Message_ID": "<a@x>"}),
    made(3, "[list] other", "", fields={"Bcc": "hidden@example.org"}),
    made(4, "", "hello HELLO hElLo"),
    made(5, "no date", "text without a date", sent=None),
    made(6, "привет мир", "ПРИВЕТ ещё раз", fields={"To": "Ünsal <u@example.org>, p2@example.org"}),
    made(7, '"quoted" \\ and % and _', "'; DROP TABLE message; --", fields={"X_Thing": ""}),
    made(8, "Hello world", "a" * 3000 + " needle", flags=frozenset({"\\Deleted", "kw-a", "\\Draft"})),
    made(9, "x" * 200, "line one\r\nline two\r\n\r\nthree", fields={"From": None}, flags=frozenset({"KW-B", "kw-a"})),
    made(10, "Fwd: Größe", "b", fields={"In_Reply_To": "<a@x>", "Message_ID": "<b@x>"}),
]
SIZES = [len(one.octets) for one in MESSAGES]


def fold(text):
    return " ".join(text.casefold().split())


@pytest.fixture(scope="module")
def accounts(tmp_path_factory):
    """The same mailbox without a text index, with some of its messages in it, and with all."""
    found = []
    for indexed in (0, 5, 100):
        account = Account(tmp_path_factory.mktemp("mail"), NOW)
        account.deliver(*(one.octets for one in MESSAGES[:5]))
        account.clock.advance(3 * DAY)
        box = account.deliver(*(one.octets for one in MESSAGES[5:]))
        for uid, one in enumerate(MESSAGES, 1):
            word = 0
            for flag in one.flags:
                word |= FLAGS.get(flag) or box.keyword_bit(flag, create=True)
            box.store_flags(NumberSet([(uid, uid)]), Operation.REPLACE, word)
            with account.index.write() as writing:
                writing.execute("UPDATE message SET received = ? WHERE uid = ?", (one.received, uid))
        account.clock.time = NOW
        account.filler.index_some(indexed)
        account.modseqs = dict(box.rows(None, ("uid", "modseq")))
        account.emailids = [found for (found,) in box.rows(None, ("emailid",))]
        found.append(account)
    yield found
    for account in found:
        account.readers.close()


FLAGS = {"\\Seen": 1, "\\Answered": 2, "\\Flagged": 4, "\\Deleted": 8, "\\Draft": 16}


def day_of(moment):
    return datetime.fromtimestamp(moment, UTC).date()


COMPARE = {
    Comparison.BEFORE: lambda one, two: one < two,
    Comparison.ON: lambda one, two: one == two,
    Comparison.SINCE: lambda one, two: one >= two,
}


def matches(account, key, uid):
    """Whether a message matches, by what it was made of."""
    one = MESSAGES[uid - 1]
    match key:
        case Everything() | SaveDateSupported():
            return True
        case Not():
            return not matches(account, key.key, uid)
        case And():
            return all(matches(account, inner, uid) for inner in key.keys)
        case Or():
            return matches(account, key.left, uid) or matches(account, key.right, uid)
        case HasFlag():
            return key.flag.lower() in {flag.lower() for flag in one.flags}
        case Among():
            return uid in key.numbers.resolve(len(MESSAGES))
        case Larger():
            return SIZES[uid - 1] > key.octets
        case Smaller():
            return SIZES[uid - 1] < key.octets
        case Younger():
            return one.received >= NOW - key.seconds
        case Older():
            return one.received <= NOW - key.seconds
        case Modified():
            return account.modseqs[uid] >= key.modseq
        case HasEmailId():
            return account.emailids[uid - 1] == key.id
        case HasThreadId():
            return False
        case Dated():
            if key.which is DateOf.SENT:
                return one.sent is not None and COMPARE[key.comparison](one.sent.date(), key.day)
            moment = one.received if key.which is DateOf.INTERNAL else NOW + (3 * DAY if uid > 5 else 0)
            return COMPARE[key.comparison](day_of(moment), key.day)
        case HeaderContains():
            values = [value for name, value in shown(one).items() if name.lower() == key.field.lower()]
            return any(fold(key.text) in fold(value) for value in values)
        case Contains():
            needle = fold(key.text)
            header = fold("\n".join(f"{name}: {value}" for name, value in shown(one).items()))
            if not needle:
                return True
            if key.where is Where.TEXT:
                return needle in header or needle in fold(one.body)
            if key.where is Where.BODY:
                return needle in fold(one.body)
            return needle in fold(one.fields.get(key.where.value.decode().title(), ""))


def shown(one):
    """All fields of a message, decoded."""
    date_field = {}
    if one.sent is not None:
        sent = one.sent
        date_field = {"Date": f"{sent:%d} {MONTHS[sent.month - 1]} {sent:%Y %H:%M:%S} {one.zone}"}
    kind = {"Content-Type": "text/plain; charset=utf-8", "Content-Transfer-Encoding": one.encoding}
    return {**one.fields, **date_field, **kind}


PLACES = [shown(one) for one in MESSAGES]


@st.composite
def needles(draw):
    """Some of what stands somewhere, perhaps with other case and space, or what stands nowhere."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(st.sampled_from(["", "absent", "zz", "e", "'", '"', "%", "ß", "SS", "a" * 2500]))
    one = draw(st.integers(0, len(MESSAGES) - 1))
    text = draw(st.sampled_from([MESSAGES[one].body, *PLACES[one].values()]))
    start = draw(st.integers(0, len(text)))
    # No space at the ends: the model has none there.
    piece = text[start : start + draw(st.integers(1, 12))].strip()
    return piece.upper() if draw(st.booleans()) else piece.replace(" ", "  ")


DATES = st.dates(date(2023, 10, 25), date(2023, 11, 20))
LEAVES = st.one_of(
    st.sampled_from([Everything(), SaveDateSupported(), HasThreadId("T1")]),
    st.builds(HasFlag, st.sampled_from([*FLAGS, "kw-a", "KW-A", "kw-b", "unknown"])),
    st.builds(Contains, st.sampled_from(Where), needles()),
    st.builds(Contains, st.sampled_from([Where.TEXT, Where.BODY]), needles()),
    st.builds(
        HeaderContains,
        st.sampled_from(["Subject", "from", "X-Thing", "Message-ID", "Date", "Bcc", "absent", "Content-Type"]),
        needles(),
    ),
    st.builds(Dated, st.sampled_from(DateOf), st.sampled_from(Comparison), DATES),
    st.builds(Larger, st.sampled_from([*SIZES, 0, 1 << 40])),
    st.builds(Smaller, st.sampled_from([*SIZES, 0, 1 << 40])),
    st.builds(Younger, st.integers(1, 500_000)),
    st.builds(Older, st.integers(1, 500_000)),
    st.builds(Modified, st.integers(0, 40)),
    st.builds(
        lambda pairs, uid: Among(SequenceSet(tuple(pairs)), uid),
        st.lists(st.tuples(st.integers(1, 14), st.integers(1, 14)), min_size=1, max_size=3),
        st.booleans(),
    ),
)
KEYS = st.recursive(
    LEAVES,
    lambda keys: st.one_of(
        st.builds(Not, keys),
        st.builds(Or, keys, keys),
        st.builds(And, st.lists(keys, min_size=2, max_size=4).map(tuple)),
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(KEYS)
def test_a_search_finds_what_the_model_finds(accounts, key):
    for account in accounts:
        expected = [uid for uid in range(1, len(MESSAGES) + 1) if matches(account, key, uid)]
        assert account.search(key) == expected


@settings(max_examples=80)
@given(st.sampled_from([Where.TEXT, Where.BODY]), needles())
def test_texts_are_found_with_and_without_an_index(accounts, where, needle):
    for key in (Contains(where, needle), Not(Contains(where, needle))):
        expected = [uid for uid in range(1, len(MESSAGES) + 1) if matches(accounts[0], key, uid)]
        assert [account.search(key) for account in accounts] == [expected] * 3


def test_an_email_id_is_found(accounts):
    account = accounts[0]
    assert account.search(HasEmailId(account.emailids[3])) == [4]


def test_a_set_of_many_ranges(accounts):
    many = SequenceSet(tuple((number, number) for number in range(1, 100, 2)))
    assert accounts[0].search(Among(many, True)) == [1, 3, 5, 7, 9, 11]
    assert accounts[0].search(Not(Among(many, True))) == [2, 4, 6, 8, 10]


def test_words_on_both_sides_of_a_line_end_are_found(accounts):
    for account in accounts:
        assert account.search(Contains(Where.BODY, "one line two three")) == [10]


HELLO = Contains(Where.TEXT, "hello")


@pytest.mark.parametrize(
    "key",
    [
        Or(And((HELLO, Larger(SIZES[1]))), HasFlag("\\Flagged")),
        Or(And((HELLO, HasFlag("\\Seen"))), And((Not(HELLO), HasFlag("\\Flagged")))),
        Not(And((HELLO, HasFlag("\\Seen")))),
        And((Or(HELLO, HasFlag("\\Deleted")), Or(Not(HELLO), HasFlag("\\Seen")))),
        Not(Or(And((HELLO, HasFlag("\\Seen"))), And((HeaderContains("X-Thing", ""), HasFlag("\\Flagged"))))),
    ],
)
def test_what_a_statement_tells_and_what_is_tested_fit_together(accounts, key):
    expected = [uid for uid in range(1, len(MESSAGES) + 1) if matches(accounts[0], key, uid)]
    assert 0 < len(expected) < len(MESSAGES)
    assert [account.search(key) for account in accounts] == [expected] * 3


def test_candidates_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("mailsrv.store.filling.MAX_INDEXED", 400)
    account = Account(tmp_path, NOW)
    account.deliver(
        *(made(0, "x", body).octets for body in ("abcd", "abc bcd", "bcd", "word " * 100 + "abcd", "word " * 100))
    )
    account.index_texts()
    assert account.search(Contains(Where.TEXT, "abcd")) == [1, 4]
    assert account.search(Contains(Where.BODY, "bcd")) == [1, 2, 3, 4]
    assert account.search(HeaderContains("Subject", "zbcd")) == []
    assert account.search(HeaderContains("X-Other", "abcd")) == []
    account.readers.close()


def test_too_many_keys_for_so_many_messages(accounts, monkeypatch):
    key = And(tuple(Contains(Where.SUBJECT, f"hello{number}") for number in range(10)))
    monkeypatch.setattr("mailsrv.store.search.MAX_COMPARISONS", 10 * len(MESSAGES))
    assert accounts[0].search(key) == []
    monkeypatch.setattr("mailsrv.store.search.MAX_COMPARISONS", 10 * len(MESSAGES) - 1)
    with pytest.raises(SearchLimit, match="too many search keys"):
        accounts[0].search(key)


def test_large_messages_take_time_too(accounts, monkeypatch):
    key = Contains(Where.BODY, "needle")
    monkeypatch.setattr("mailsrv.store.search._LARGE", 0)
    clock = FakeClock()

    class Slow(Budget):
        def spend(self, files: int = 0) -> None:
            clock.advance(10)
            super().spend(files)

    with pytest.raises(SearchLimit):
        accounts[0].search(key, Slow(clock, seconds=60))


def test_budgets(accounts):
    key = Contains(Where.BODY, "needle")
    clock = FakeClock()
    assert accounts[0].search(key, Budget(clock, files=11)) == [9]
    with pytest.raises(SearchLimit):
        accounts[0].search(key, Budget(clock, files=10))
    assert accounts[2].search(key, Budget(clock, files=1)) == [9]
    short = Budget(clock, seconds=1)
    clock.advance(2)
    with pytest.raises(SearchLimit):
        accounts[0].search(key, short)


SORTED = {
    SortKey.ARRIVAL: lambda one: one.received,
    SortKey.DATE: lambda one: one.received if one.sent is None else one.sent.timestamp() - ZONE_SECONDS[one.zone],
    SortKey.SIZE: lambda one: len(one.octets),
    SortKey.SUBJECT: lambda one: fold(
        one.fields["Subject"].removeprefix("Re: ").removeprefix("Fwd: ").removeprefix("[list] ")
    ),
    SortKey.FROM: lambda one: one.fields.get("From", "").rpartition("<")[2].partition("@")[0],
    SortKey.DISPLAYFROM: lambda one: fold(one.fields.get("From", "").partition("<")[0].strip()),
    SortKey.TO: lambda one: {"m": "me", "Ü": "u"}[one.fields["To"][0]],
    SortKey.DISPLAYTO: lambda one: {"m": "me@example.net", "Ü": "ünsal"}[one.fields["To"][0]],
    SortKey.CC: lambda one: "z" if "Cc" in one.fields else "",
}
ZONE_SECONDS = {"+0000": 0, "-1100": -11 * 3600, "+1300": 13 * 3600}


@given(
    st.lists(st.builds(Criterion, st.sampled_from(SortKey), st.booleans()), min_size=1, max_size=4),
    st.sets(st.integers(1, len(MESSAGES))),
)
def test_sorting(accounts, criteria, uids):
    expected = sorted(uids)
    for criterion in reversed(criteria):
        keys = {uid: SORTED[criterion.key](MESSAGES[uid - 1]) for uid in uids}
        # Equal ones keep their order, in a reversed sort too.
        expected.sort(key=keys.__getitem__, reverse=criterion.reverse)
    assert accounts[0].searcher().sort(sorted(uids), tuple(criteria)) == expected


def trees(found):
    return [(thread.uid, trees(thread.children)) for thread in found]


def test_threads(accounts):
    searcher = accounts[0].searcher()
    everything = range(1, len(MESSAGES) + 1)
    found = trees(searcher.thread(everything, Algorithm.REFERENCES))
    (thread,) = (thread for thread in found if thread[0] == 3)
    assert sorted(thread[1]) == [(2, []), (11, [])]
    assert trees(searcher.thread([2, 11], Algorithm.REFERENCES)) == [(0, [(2, []), (11, [])])]
    by_subject = dict(trees(searcher.thread(everything, Algorithm.ORDEREDSUBJECT)))
    assert by_subject[1] == [(2, []), (9, [])]


def test_the_highest_modseq(accounts):
    account = accounts[0]
    assert account.searcher().highest_modseq([]) == 0
    assert account.searcher().highest_modseq([3, 1]) == max(account.modseqs[1], account.modseqs[3])
    assert account.searcher().highest_modseq([99]) == 0


def test_new_messages_are_computed_when_somebody_searches(tmp_path):
    account = Account(tmp_path, NOW)
    account.deliver(MESSAGES[0].octets)
    assert account.search(Contains(Where.SUBJECT, "hello")) == [1]
    account.deliver(MESSAGES[1].octets)
    assert account.search(Contains(Where.SUBJECT, "hello")) == [1, 2]
    assert account.searcher().sort([1, 2], (Criterion(SortKey.SUBJECT),)) == [1, 2]
    account.readers.close()


def test_a_file_that_another_program_has_renamed_is_found(tmp_path):
    account = Account(tmp_path, NOW)
    box = account.deliver(MESSAGES[0].octets)
    ((path,),) = box.rows(None, ("path",))
    old = tmp_path / "accounts/alice" / path
    old.rename(tmp_path / "accounts/alice/cur" / f"{old.name.partition(':')[0]}:2,S")
    assert account.search(Contains(Where.BODY, "body text")) == [1]
    for file in (tmp_path / "accounts/alice/cur").iterdir():
        file.unlink()
    assert account.search(Contains(Where.BODY, "body text")) == []
    account.readers.close()


def test_a_mailbox_that_is_gone_is_not_searched(tmp_path):
    account = Account(tmp_path, NOW)
    reader = account.readers.reader("alice")
    reader.create("Temporary")
    account.open("Temporary")
    searcher = account.searcher()
    reader.delete("Temporary")
    for question in (
        lambda: searcher.search(Everything(), account.uids),
        lambda: searcher.sort([], ()),
        lambda: searcher.thread([], Algorithm.REFERENCES),
        lambda: searcher.highest_modseq([1]),
    ):
        with pytest.raises(MailboxGone):
            question()
    account.readers.close()


def test_a_bug_in_one_message_is_told_and_costs_its_text(tmp_path, monkeypatch):
    account = Account(tmp_path, NOW)
    account.deliver(*(made(0, "x", body).octets for body in ("needle one", "needle broken", "needle two")))
    told = []
    monkeypatch.setattr(account.index, "complain", told.append)

    def broken(octets, *more):
        if b"broken" in octets:
            raise ZeroDivisionError("a bug")
        return True

    monkeypatch.setattr("mailsrv.store.search.holds", broken)
    assert account.search(Contains(Where.BODY, "needle")) == [1, 3]
    monkeypatch.setattr("mailsrv.store.search.header_of", bytes)
    monkeypatch.setattr("mailsrv.store.search._has_field", broken)
    assert account.search(HeaderContains("X-Other", "needle")) == [1, 3]
    assert list(map(str, told)) == ["a bug", "a bug"]
    account.readers.close()
