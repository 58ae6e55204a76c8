"""The messages of an export."""

from mailsrv.cli import export_form
from mailsrv.cli.export_form import messages
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.values import DELETED, SEEN, Operation
from tests.mailsrv.store.ground import Ground


def test_in_order_and_without_those_that_vanish(tmp_path, monkeypatch):
    monkeypatch.setattr(export_form, "_AT_ONCE", 3)
    monkeypatch.setattr(export_form, "_PIECE", 2)
    ground = Ground(tmp_path)
    box = ground.open()
    word = SEEN | box.keyword_bit("work", create=True)
    ground.append(box, "abcde", "b", "c", "d", flags=word, received=1_500_000_000)
    found = []
    for message in messages(box):
        found.append((message.uid, b"".join(message.pieces()), message.flags, message.received))
        if message.uid == 1:
            box.store_flags(NumberSet([(2, 2), (4, 4)]), Operation.ADD, DELETED)
            box.expunge()
            ground.tidy()
    names = {"\\Seen", "work"}
    assert found == [(1, b"abcde", names, 1_500_000_000), (3, b"c", names, 1_500_000_000)]
