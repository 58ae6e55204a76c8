"""LIST and LSUB; examples of the RFCs are in tests/cases/imap/list*.dialog."""

import pytest

from tests.fakes.imap_client import House


@pytest.fixture
def client(tmp_path):
    made = House(tmp_path).client()
    for name in ("a/b/c", "Drafts (USE (\\Drafts))", "z"):
        made.do(f"CREATE {name}")
    made.do("SUBSCRIBE a/b")
    made.do("SUBSCRIBE gone/away")
    for name in ("INBOX", "a", "a/b/c", "Drafts", "z"):
        made.do(f"UNSUBSCRIBE {name}")
    return made


def names(heard: list[str]) -> list[str]:
    assert heard[-1].startswith("OK")
    return [line.split('"/" ')[1] for line in heard[:-1]]


def test_inbox_is_first_and_the_rest_is_sorted(client) -> None:
    assert names(client.do('LIST "" *')) == ["INBOX", "Drafts", "a", "a/b", "a/b/c", "z"]


def test_a_pattern_that_matches_nothing(client) -> None:
    assert names(client.do('LIST "" x*')) == []
    assert names(client.do('LIST "" ("" z)')) == ["z"]


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("*", ['* LSUB () "/" a/b', '* LSUB () "/" gone/away']),
        ("%", ['* LSUB (\\Noselect) "/" a', '* LSUB (\\Noselect) "/" gone']),
        ("a/%", ['* LSUB () "/" a/b']),
        ('""', ['* LSUB (\\Noselect) "/" ""']),
    ],
)
def test_lsub(client, pattern, lines) -> None:
    assert client.do(f'LSUB "" {pattern}')[:-1] == lines


def test_recursive_match_of_names_that_do_not_exist(client) -> None:
    assert client.do('LIST (SUBSCRIBED RECURSIVEMATCH) "" %')[:-1] == [
        '* LIST (\\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))',
        '* LIST (\\NonExistent \\HasNoChildren) "/" gone ("CHILDINFO" ("SUBSCRIBED"))',
    ]
    assert client.do('LIST (SUBSCRIBED) "" %')[:-1] == []


def test_special_use_recursive_match(client) -> None:
    client.do("CREATE up/down (USE (\\Archive))")
    assert client.do('LIST (SPECIAL-USE RECURSIVEMATCH) "" %')[:-1] == [
        '* LIST (\\HasNoChildren \\Drafts) "/" Drafts',
        '* LIST (\\HasChildren) "/" up ("CHILDINFO" ("SPECIAL-USE"))',
    ]


def test_a_mailbox_that_goes_between_the_list_and_its_status(client, monkeypatch) -> None:
    from mailsrv.imapd import listing
    from mailsrv.store.refusals import NoMailbox

    def gone(state, name, items):
        raise NoMailbox("gone")

    monkeypatch.setattr(listing, "make_status", gone)
    assert names(client.do('LIST "" z RETURN (STATUS (MESSAGES))')) == ["z"]
