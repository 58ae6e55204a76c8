"""Search keys as values: they are compared, hashed and printed."""

from datetime import date

from mailsrv.imap import search_keys as keys
from mailsrv.imap.numbers import SequenceSet


def test_trees_are_values() -> None:
    def make() -> keys.Key:
        return keys.And(
            (
                keys.Or(keys.HasFlag("\\Seen"), keys.Not(keys.Everything())),
                keys.Among(SequenceSet.parse(b"1:*"), uid=True),
                keys.Dated(keys.DateOf.SENT, keys.Comparison.SINCE, date(2024, 1, 1)),
                keys.Contains(keys.Where.SUBJECT, "x"),
            )
        )

    assert make() == make()
    assert hash(make()) == hash(make())
    assert "HasFlag" in repr(make())


def test_words_are_those_of_the_wire() -> None:
    assert {where.value.decode() for where in keys.Where} == {where.name for where in keys.Where}
    assert keys.DateOf.SAVED.value + keys.Comparison.BEFORE.value == b"SAVEDBEFORE"
