"""One of several processes that work on an account at once: `store_worker.py DATA_DIR NUMBER ROUNDS`.

It tells each message that it was told is stored, on a line of standard output; messages move between mailboxes, get
flags, are delivered; only those that begin with `trash` are ever expunged, and none is copied but those.
"""

import random
import sys

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.refusals import StoreRefusal
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation
from mailsrv.system.clock import SystemClock

from tests.crash.store import append, deliver, reader

MAILBOXES = ("INBOX", "A", "A/b", "C")


def work(data_dir, number, rounds):
    dice = random.Random(number)
    account = reader(data_dir, clock=SystemClock())
    for turn in range(rounds):
        box = account.open(dice.choice(MAILBOXES))
        other = account.open(dice.choice(MAILBOXES))
        uids, modseq, _ = box.view()
        some = NumberSet.of(dice.sample(list(uids), min(len(uids), 3)))
        trash = NumberSet.of(uid for uid in some if is_trash(box, uid))
        step = dice.randrange(10)
        if step == 0:
            text = f"keep {number}.{turn}"
            append(box, text, dice.choice((0, SEEN)))
            tell(text)
        elif step == 1:
            append(box, f"trash {number}.{turn}")
        elif step == 2:
            tell(deliver(data_dir, number * 10_000 + turn, box.directory))
            box.refresh()
        elif step == 3:
            box.move(some, other)
        elif step == 4:
            box.copy(trash, other)
        elif step == 5:
            box.store_flags(some, dice.choice((Operation.ADD, Operation.REMOVE)), SEEN | FLAGGED)
        elif step == 6:
            box.store_flags(trash, Operation.ADD, DELETED)
            box.expunge(trash)
        elif step == 7:
            account.tidy(5)
        elif step == 8:
            come_and_go(account, f"T{number}", turn)
        else:
            box.changes(modseq - 3)
            account.subscribe(f"name {turn % 3}", bool(turn % 2))


def come_and_go(account, name, turn):
    """A mailbox of this worker's own, with a message in it, is made or deleted."""
    if any(line.name == name and line.exists for line in account.mailboxes()):
        account.delete(name)
    else:
        account.create(name)
        append(account.open(name), f"trash {name} {turn}")


def is_trash(box, uid):
    try:
        with box.open_file(uid) as file:
            return file.read_at(0, 5) == b"trash"
    except StoreRefusal:
        return False


def tell(text):
    print(text, flush=True)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
