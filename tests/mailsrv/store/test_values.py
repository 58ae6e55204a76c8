"""What readers ask with and are told."""

from mailsrv.store.values import FIRST_KEYWORD, KEYWORDS, LAST_KEYWORD, SYSTEM, SYSTEM_FLAGS, Changes


def test_flags_fit_into_a_signed_number():
    assert sum(SYSTEM_FLAGS.values()) == SYSTEM < 1 << FIRST_KEYWORD
    assert KEYWORDS == 55 and 1 << LAST_KEYWORD < 2**63


def test_no_changes():
    changes = Changes(5, 7, [])
    assert not changes.vanished and list(changes.vanished) == []
