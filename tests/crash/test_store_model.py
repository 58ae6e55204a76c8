"""Random operations by two readers of one account, as two processes are, against a model that is a dictionary.

The index is thrown away in between, files are delivered, renamed and removed by other programs, idle work happens at
any time: what a client sees is what the model says, and no UID ever shows another message.
"""

import os
import shutil
import tempfile
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.message import base_of, flags_of
from mailsrv.store.refusals import MailboxThere, NoMailbox, StoreRefusal
from mailsrv.store.values import DELETED, SYSTEM, Operation

from tests.crash.store import append, contents, deliver, finish, reader, readers
from tests.fakes.clock import FakeClock

NAMES = ("INBOX", "A", "A/b", "Ä.c", "Junk")
FLAGS = st.integers(0, SYSTEM)
WHO = st.integers(0, 1)
NAME = st.sampled_from(NAMES)
UIDS = st.frozensets(st.integers(1, 12), min_size=1)


class TwoReaders(RuleBasedStateMachine):
    """`model`: name -> text -> flags, keyword included as bit 8. Messages are known by their texts."""

    def __init__(self):
        super().__init__()
        self.data_dir = tempfile.mkdtemp()
        self.clock = FakeClock(2_000_000_000.0)
        self.numbers = count(1)
        self.model = {"INBOX": {}}
        self.told = {}  # (mailboxid, uidvalidity, uid) -> text
        self.since = {}  # (reader, mailboxid, uidvalidity) -> modseq, uid -> flags

    @initialize()
    def begin(self):
        self.readers = [readers(self.data_dir, clock=self.clock).reader("bob") for _ in range(2)]
        self.readers[0].open("INBOX")

    def teardown(self):
        shutil.rmtree(self.data_dir)

    def open(self, who, name):
        return self.readers[who].open(name) if name in self.model else None

    def path(self, name, who=0):
        directory = self.readers[who].find(name).directory
        return os.path.join(self.data_dir, "accounts/bob", directory)

    @rule(who=WHO, name=NAME)
    def create(self, who, name):
        try:
            self.readers[who].create(name)
        except MailboxThere:
            assert name in self.model
        else:
            assert name not in self.model
            self.model[name] = {}
            self.model.setdefault(name.rpartition("/")[0] or name, {})

    @rule(who=WHO, name=NAME)
    def delete(self, who, name):
        try:
            self.readers[who].delete(name)
        except StoreRefusal:
            assert name == "INBOX" or name not in self.model
        else:
            del self.model[name]

    @rule(who=WHO, old=NAME, new=NAME)
    def rename(self, who, old, new):
        try:
            self.readers[who].rename(old, new)
        except StoreRefusal as error:
            if isinstance(error, NoMailbox):
                assert not any(name == old or name.startswith(f"{old}/") for name in self.model)
            return
        moved = [name for name in self.model if name == old or name.startswith(f"{old}/")]
        if old == "INBOX":
            self.model[new] = self.model["INBOX"]
            self.model["INBOX"] = {}
        else:
            new_names = {new + name[len(old) :]: self.model.pop(name) for name in moved}
            self.model.update(new_names)
        self.model.setdefault(new.rpartition("/")[0] or "INBOX", {})

    @rule(who=WHO, name=NAME, flags=FLAGS)
    def append(self, who, name, flags):
        if box := self.open(who, name):
            text = f"appended {next(self.numbers)}"
            append(box, text, flags)
            self.model[name][text] = flags

    @rule(name=NAME)
    def deliver(self, name):
        if name in self.model:
            text = deliver(self.data_dir, next(self.numbers), self.readers[0].find(name).directory)
            self.model[name][text] = 0

    @rule(who=WHO, name=NAME, uids=UIDS, operation=st.sampled_from(Operation), flags=FLAGS, keyword=st.booleans())
    def store(self, who, name, uids, operation, flags, keyword):
        box = self.open(who, name)
        if box is None:
            return
        mask = box.keyword_bit("$Word", create=True) if keyword else 0
        wanted = flags | (256 if keyword else 0)
        seen = contents(box)
        stored = box.store_flags(NumberSet.of(uids), operation, flags | mask)
        changed = 0
        for uid in uids & seen.keys():
            text = seen[uid][0]
            old = self.model[name][text]
            new = {Operation.ADD: old | wanted, Operation.REMOVE: old & ~wanted, Operation.REPLACE: wanted}[operation]
            self.model[name][text] = new
            changed += new != old
        assert stored.changed == changed

    @rule(who=WHO, name=NAME, uids=UIDS, other=NAME, keep=st.booleans())
    def transfer(self, who, name, uids, other, keep):
        box, target = self.open(who, name), self.open(who, other)
        if box is None or target is None:
            return
        seen = contents(box)
        if keep and any(seen[uid][0] in self.model[other] for uid in uids & seen.keys()):
            return  # the model knows a message once in a mailbox
        moved = {seen[uid][0] for uid in uids & seen.keys()}
        if name != other and any(text in self.model[other] for text in moved):
            return
        pairs = box.copy(NumberSet.of(uids), target) if keep else box.move(NumberSet.of(uids), target)
        assert [uid for uid, _ in pairs] == sorted(uids & seen.keys())
        shown = contents(target)
        for uid, new in pairs:
            assert shown[new] == seen[uid]
            flags = self.model[name][seen[uid][0]]
            if not keep:
                del self.model[name][seen[uid][0]]
            self.model[other][seen[uid][0]] = flags

    @rule(who=WHO, name=NAME, uids=st.none() | UIDS)
    def expunge(self, who, name, uids):
        box = self.open(who, name)
        if box is None:
            return
        seen = contents(box)
        gone, _ = box.expunge(None if uids is None else NumberSet.of(uids))
        wanted = {uid for uid, (_, flags) in seen.items() if flags & DELETED and (uids is None or uid in uids)}
        assert set(gone) == wanted
        for uid in wanted:
            del self.model[name][seen[uid][0]]

    @rule(who=WHO, most=st.integers(1, 3))
    def tidy(self, who, most):
        self.readers[who].tidy(most)

    @rule(seconds=st.sampled_from([1, 5, 100]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(name=NAME, letters=st.sampled_from(["", "S", "FS", "DT", "R"]), number=st.integers(0, 5))
    def renamed_by_another(self, name, letters, number):
        """Another mail program changes the flags of a file, or moves it from new/ to cur/."""
        if name not in self.model:
            return
        self.open(0, name)  # what is known of the names now is the ground for what has changed in them
        finish(self.readers[0])
        path = self.path(name)
        names = sorted(os.listdir(f"{path}/cur"))
        if number < len(names):
            old = names[number]
            with open(f"{path}/cur/{old}") as file:
                text = file.read()
            os.rename(f"{path}/cur/{old}", f"{path}/cur/{base_of(old)}:2,{letters}")
            os.utime(f"{path}/cur")
            self.model[name][text] = self.model[name][text] & ~SYSTEM | flags_of(f":2,{letters}")
            self.open(0, name).refresh(force=True)

    @rule(name=NAME, number=st.integers(0, 5))
    def removed_by_another(self, name, number):
        if name not in self.model:
            return
        self.open(0, name)
        finish(self.readers[0])
        path = self.path(name)
        names = sorted(os.listdir(f"{path}/cur"))
        if number < len(names):
            with open(f"{path}/cur/{names[number]}") as file:
                text = file.read()
            os.unlink(f"{path}/cur/{names[number]}")
            del self.model[name][text]
            self.open(0, name).refresh(force=True)

    @precondition(lambda self: self.model["INBOX"])
    @rule(begin_anew=st.booleans())
    def lose_the_index(self, begin_anew):
        self.clock.advance(100)
        for name in self.model:
            self.open(0, name)
        finish(self.readers[0])
        for suffix in ("", "-wal", "-shm"):
            path = os.path.join(self.data_dir, f"accounts/bob/index.sqlite3{suffix}")
            if os.path.exists(path):
                os.unlink(path)
        for texts in self.model.values():
            for text in texts:
                texts[text] &= SYSTEM  # keywords are lost
        if begin_anew:
            self.readers[1] = reader(self.data_dir, clock=self.clock)

    @invariant()
    def both_see_the_model(self):
        for who, account in enumerate(self.readers):
            lines = [line for line in account.mailboxes() if line.exists]
            assert {line.name for line in lines} == self.model.keys()
            for line in lines:
                box = account.open(line.name)
                seen = contents(box)
                bit = box.keyword_bit("$Word")
                flags = {text: word & SYSTEM | (256 if word & bit else 0) for text, word in seen.values()}
                assert flags == self.model[line.name], line.name
                assert len(flags) == len(seen)
                self.remember(box, seen)
                self.follow(who, box, seen)

    def remember(self, box, seen):
        for uid, (text, _) in seen.items():
            assert self.told.setdefault((box.mailboxid, box.uidvalidity, uid), text) == text

    def follow(self, who, box, seen):
        """A session that only asks what has changed knows what one knows that asks for everything."""
        key = who, box.mailboxid, box.uidvalidity
        modseq, known = self.since.get(key, (0, {}))
        changes = box.changes(modseq)
        for uid, flags, _ in changes.flags:
            known[uid] = flags
        for uid in changes.vanished:
            known.pop(uid, None)
        assert known == {uid: flags for uid, (_, flags) in seen.items()}
        uids, highest, uidnext = box.view()
        assert list(uids) == sorted(seen)
        assert highest == changes.highestmodseq and uidnext == changes.uidnext
        status = box.status()
        assert (status.messages, status.uidnext) == (len(seen), uidnext)
        assert status.unseen == sum(not flags & 1 for _, flags in seen.values())
        assert status.deleted == sum(bool(flags & DELETED) for _, flags in seen.values())
        self.since[key] = highest, known

    @rule()
    def nothing_is_wrong(self):
        assert self.readers[0].check() == []


TwoReaders.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTwoReaders = TwoReaders.TestCase
