"""Several sessions on the same mailboxes, at random: what each client believes is what is there.

A client applies the untagged data that it hears, in order, as RFC 9051 section 7 wants. It must never see a number
change while none may, nor a FETCH whose number and UID do not belong together; after a last NOOP it must know exactly
the mailbox's messages and flags. A client with QRESYNC may lose its connection at any time, and must know all of it
again after the next SELECT (RFC 7162 section 3.2.5).
"""

import random
import re
import tempfile
import threading

import pytest
from hypothesis import HealthCheck, currently_in_test_context, given, note, settings
from hypothesis import strategies as st

from mailsrv.imap.commands import COMMANDS
from mailsrv.store.keywords import forget_unused
from mailsrv.store.values import SYSTEM_FLAGS
from tests.fakes.imap_client import House, message

FETCH = re.compile(r"\* (\d+) FETCH \(UID (\d+)(?: FLAGS \(([^)]*)\))?(?: MODSEQ \((\d+)\))?\)")
HIGHEST = re.compile(r"OK \[HIGHESTMODSEQ (\d+)\]")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "work", "home", "play")


def numbers(text):
    """A set of numbers as a set."""
    found = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        found.update(range(int(first), int(last or first) + 1))
    return found


class Believer:
    """A client and what it believes: UIDs by number, flags by UID (None: not told yet)."""

    def __init__(self, house, mailbox, enabled):
        self.house, self.mailbox, self.enabled = house, mailbox, enabled
        self.uids, self.flags, self.said = [], {}, []
        self.modseq = 0
        self.validity = 0
        self.connect()

    def connect(self):
        self.client = self.house.client(enabled=self.enabled)
        command = f"SELECT {self.mailbox}"
        if self.modseq:
            command += f" (QRESYNC ({self.validity} {self.modseq}))"
            self.uids = sorted(uid for uid in self.uids if uid)
        else:
            self.uids, self.flags = [], {}
        lines = self.client.do(command)
        count = next(int(line.split()[1]) for line in lines if line.endswith(" EXISTS"))
        self.validity = next(int(found[1]) for line in lines if (found := re.search(r"\[UIDVALIDITY (\d+)\]", line)))
        if not self.modseq:
            self.uids = [None] * count
        gone = [numbers(line.split()[3]) for line in lines if line.startswith("* VANISHED (EARLIER) ")]
        for uids in gone:
            self.uids = [uid for uid in self.uids if uid not in uids]
        self.uids += [None] * (count - len(self.uids))
        assert len(self.uids) == count, (lines, self.uids)
        for line in lines:
            if found := FETCH.fullmatch(line):
                self.uids[int(found[1]) - 1] = int(found[2])
                self.flags[int(found[2])] = set(found[3].split())
        highest = [int(found[1]) for line in lines if (found := HIGHEST.search(line))]
        if "QRESYNC" in self.enabled:
            self.modseq = highest[-1]
        self.learn()

    def do(self, command, octets=b""):
        """Give a command and believe what it says."""
        name = " ".join(command.split()[: 2 if command.startswith("UID") else 1])
        lines = self.client.do(command.encode() + octets)
        said = f"{self.mailbox} {self.enabled or 'plain'}: {command!r} -> {lines}"
        self.said.append(said)
        if currently_in_test_context():
            note(said)
        # REPLACE has no use of numbers any more when it expunges (RFC 8508 section 3.2).
        may_renumber = COMMANDS[name.encode()].may_renumber or name == "REPLACE"
        modseqs, highest = [], []
        for line in lines[:-1]:
            self.apply(line, may_renumber, modseqs)
            highest += HIGHEST.findall(line)
        assert lines[-1].startswith(("OK", "NO")), (command, lines)
        highest += HIGHEST.findall(lines[-1])
        if self.modseq:
            self.modseq = int(highest[-1]) if highest else max([self.modseq, *modseqs])
            if None in self.uids:
                self.learn()  # VANISHED says nothing to a client that does not know its UIDs
        return lines

    def apply(self, line, may_renumber, modseqs):
        words = line.split()
        if words[1] == "VANISHED":
            assert may_renumber, line
            gone = numbers(words[2])
            assert gone <= {uid for uid in self.uids if uid}, line
            self.uids = [uid for uid in self.uids if uid not in gone]
        elif words[2:3] == ["EXPUNGE"]:
            assert may_renumber, line
            del self.uids[int(words[1]) - 1]
        elif words[2:3] == ["EXISTS"]:
            count = int(words[1])
            assert count >= len(self.uids), line
            self.uids += [None] * (count - len(self.uids))
        elif words[2:3] == ["FETCH"]:
            found = FETCH.fullmatch(line)
            assert found, line
            number, uid = int(found[1]), int(found[2])
            assert number <= len(self.uids) and self.uids[number - 1] in (None, uid), (line, self.uids)
            self.uids[number - 1] = uid
            if found[3] is not None:
                self.flags[uid] = set(found[3].split())
            if found[4]:
                modseqs.append(int(found[4]))
        else:
            assert words[1] in ("FLAGS", "OK", "ESEARCH"), line

    def learn(self):
        """Ask about messages that nothing was told of."""
        unknown = [number for number, uid in enumerate(self.uids, 1) if uid is None or uid not in self.flags]
        if unknown:
            self.do(f"FETCH {','.join(map(str, unknown))} (UID FLAGS)")

    def choose(self, one, other):
        """A set of numbers that the client may name; nothing where there are no messages."""
        count = len(self.uids)
        if not count:
            return ""
        first, last = sorted((one % count + 1, other % count + 1))
        return f"{first}:{last}" if first < last else str(first)

    def store(self, change, flag, one, other, uid):
        chosen = self.choose(one, other)
        if not chosen:
            return
        members = [self.uids[number - 1] for number in sorted(numbers(chosen))]
        if uid:
            if None in members:
                return
            chosen = ",".join(map(str, members))
        lines = self.do(f"{'UID ' if uid else ''}STORE {chosen} {change} ({flag})")
        if "SILENT" in change and lines[-1].startswith("OK"):
            for member in members:
                if member in self.flags and not self.told(lines, member):
                    kept = set() if change[0] == "F" else self.flags[member]
                    self.flags[member] = kept - {flag} if change[0] == "-" else kept | {flag}

    @staticmethod
    def told(lines, uid):
        return any((found := FETCH.fullmatch(line)) and int(found[2]) == uid and found[3] is not None for line in lines)

    def check(self):
        """After this, all is told, and right."""
        self.do("NOOP")
        self.learn()
        there = self.house.flags(self.mailbox)
        names = dict(self.house.box(self.mailbox).keywords())
        names |= {mask: name for name, mask in SYSTEM_FLAGS.items()}
        assert self.uids == sorted(there)
        for uid, word in there.items():
            assert self.flags[uid] == {name for mask, name in names.items() if word & mask}, uid


CHANGES = ["FLAGS", "+FLAGS", "-FLAGS", "FLAGS.SILENT", "+FLAGS.SILENT", "-FLAGS.SILENT"]
NUMBER = st.integers(0, 11)
STEP = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(CHANGES), st.sampled_from(FLAGS), NUMBER, NUMBER, st.booleans()),
    st.tuples(st.just("delete"), NUMBER, NUMBER),
    st.tuples(st.just("expunge")),
    st.tuples(st.just("transfer"), st.sampled_from(["COPY", "MOVE"]), NUMBER, NUMBER, st.booleans()),
    st.tuples(st.just("append"), st.booleans()),
    st.tuples(st.just("noop")),
    st.tuples(st.just("forget")),
    st.tuples(st.just("search")),
    st.tuples(st.just("fetch"), NUMBER, NUMBER),
    st.tuples(st.just("replace"), NUMBER),
    st.tuples(st.just("lose")),
)


def perform(believer, step):
    """One step of one client."""
    kind, *arguments = step
    other = {"INBOX": "Work", "Work": "INBOX"}[believer.mailbox]
    new = message("new")
    match kind:
        case "store":
            believer.store(*arguments)
        case "delete":
            believer.store("+FLAGS.SILENT", "\\Deleted", *arguments, False)
        case "expunge":
            believer.do("EXPUNGE")
        case "transfer":
            verb, one, two, here = arguments
            if chosen := believer.choose(one, two):
                believer.do(f"{verb} {chosen} {believer.mailbox if here else other}")
        case "append":
            target = believer.mailbox if arguments[0] else other
            believer.do(f"APPEND {target} (\\Seen home) {{{len(new)}+}}\r\n", new)
        case "noop":
            believer.do("NOOP")
        case "forget":  # what the background does: bits of keywords change hands
            box = believer.house.box(believer.mailbox)
            forget_unused(box._index, box._key, 0)
        case "search":
            line = believer.do("SEARCH RETURN (ALL) ALL")[0]
            _, _, found = line.partition(" ALL ")
            assert not found or max(numbers(found)) <= len(believer.uids)
        case "fetch":
            if chosen := believer.choose(*arguments):
                believer.do(f"FETCH {chosen} (UID FLAGS)")
        case "replace":
            if chosen := believer.choose(arguments[0], arguments[0]):
                believer.do(f"REPLACE {chosen} {believer.mailbox} {{{len(new)}+}}\r\n", new)
        case "lose":
            believer.connect()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 3), STEP), min_size=1, max_size=25))
def test_clients_believe_what_is_there(steps):
    with tempfile.TemporaryDirectory() as path:
        house = House(path)
        another = House(path, clock=house.clock)  # another process
        house.reader().create("Work")
        house.deliver(*[message(str(number)) for number in range(5)])
        house.deliver(message("w"), message("x"), mailbox="Work")
        believers = [
            Believer(house, "INBOX", ""),
            Believer(another, "INBOX", "QRESYNC"),
            Believer(house, "INBOX", "CONDSTORE"),
            Believer(another, "Work", "IMAP4rev2 QRESYNC"),
        ]
        for number, step in steps:
            perform(believers[number], step)
        for believer in believers:
            believer.check()
        house.readers.close()
        another.readers.close()


@pytest.mark.parametrize("enabled", ["", "QRESYNC"])
def test_a_number_does_not_change_under_a_command(tmp_path, enabled):
    house = House(tmp_path)
    house.deliver(*[message(str(number)) for number in range(4)])
    one, other = house.client(selected="INBOX"), house.client(selected="INBOX", enabled=enabled)
    one.do("STORE 2 +FLAGS (\\Deleted)")
    assert "* 2 EXPUNGE" in one.do("EXPUNGE")
    assert not any("EXPUNGE" in line or "VANISHED" in line for line in other.do("FETCH 3 (UID FLAGS)"))
    assert "* 3 FETCH (UID 3 FLAGS (\\Seen))" in "\n".join(other.do("STORE 3 +FLAGS (\\Seen)")).replace(" MODSEQ", ")")
    assert any("EXPUNGE" in line or "VANISHED" in line for line in other.do("NOOP"))


@pytest.mark.parametrize("seed", range(4))
def test_clients_at_the_same_time(tmp_path, seed):
    """The same with threads: others come between any two statements of a command."""
    house = House(tmp_path)
    another = House(tmp_path, clock=house.clock)
    house.reader().create("Work")
    house.deliver(*[message(str(number)) for number in range(8)])
    house.deliver(message("w"), message("x"), mailbox="Work")
    believers = [
        Believer(house, "INBOX", ""),
        Believer(another, "INBOX", "QRESYNC"),
        Believer(house, "INBOX", "CONDSTORE"),
        Believer(another, "Work", "QRESYNC"),
    ]
    faults = []

    def work(number):
        chance = random.Random(seed * 10 + number)
        try:
            for _ in range(25):
                perform(believers[number], choose_step(chance))
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(believers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults, [believer.said[-5:] for believer in believers]
    for believer in believers:
        try:
            believer.check()
        except AssertionError as error:
            raise AssertionError("\n".join(believer.said)) from error
    house.readers.close()
    another.readers.close()


def choose_step(chance):
    """A step, mostly STORE."""
    one, other = chance.randrange(12), chance.randrange(12)
    return chance.choice(
        [
            *[("store", chance.choice(CHANGES), chance.choice(FLAGS), one, other, chance.random() < 0.5)] * 6,
            ("delete", one, one),
            ("expunge",),
            ("transfer", chance.choice(["COPY", "MOVE"]), one, one, chance.random() < 0.3),
            ("append", chance.random() < 0.7),
            ("noop",),
            *[("forget",)] * 2,
            ("fetch", one, other),
            ("replace", one),
            ("lose",),
        ]
    )
