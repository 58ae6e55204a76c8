"""Names of accounts, mailboxes and directories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store.layout import Layout, check_name, check_own_name, directory_of, name_of, normalize, parents
from mailsrv.store.refusals import WrongName

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=20)


def test_an_account_lies_in_accounts():
    layout = Layout.of("/srv", "bob")
    assert layout.index == "/srv/accounts/bob/index.sqlite3"
    assert layout.path(".") == layout.root and layout.path(".A") == "/srv/accounts/bob/.A"
    for name in ("", "..", "a/b", ".a", "A", "a\n"):
        with pytest.raises(ValueError):
            Layout.of("/srv", name)


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("Sent", ".Sent"),
        ("A/B c", ".A.B c"),
        ("a.b", ".a&AC4-b"),
        ("R&D", ".R&-D"),
        ("Entwürfe/ä.b", ".Entw&APw-rfe.&AOQ-&AC4-b"),
        ("..", ".&AC4-&AC4-"),
    ],
)
def test_directories(name, directory):
    assert directory_of(name) == directory
    assert name_of(directory) == name
    assert directory_of(name, {directory, f"{directory}-2"}) == f"{directory}-3"


@given(NAMES)
def test_each_name_has_a_directory_and_comes_back_from_it(name):
    try:
        check_name(normalize(name))
    except WrongName:
        return
    name = normalize(name)
    directory = directory_of(name)
    assert directory[0] == "." and "/" not in directory and len(directory) <= 200
    if name != "INBOX":
        assert name_of(directory) == name


def test_a_long_name_is_cut_and_stays_its_own():
    one, two = (directory_of("ä" * 200 + end) for end in "xy")
    assert one != two and len(one) == len(two) == 200


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        (".Sent Items", "Sent Items"), (".ä", "ä"), (".&&", "&&"), (".INBOX", "INBOX-2"), (".inbox.x", "INBOX/x"),
        (".#a", None),
    ],  # fmt: skip
)
def test_names_of_directories_that_others_have_made(directory, name):
    found = name_of(directory)
    check_name(found)
    assert found == name or name is None
    assert name_of(directory, {found}) not in (found, "INBOX")


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a//b", "a\tb", "a\x7f", "\u2028", "#shared", "x" * 513, "a/" * 40 + "a"]
)
def test_what_no_mailbox_is_called(name):
    with pytest.raises(WrongName):
        check_name(name)


def test_a_name_that_is_no_text_is_told_so():
    with pytest.raises(WrongName, match="is UTF-8"):
        check_name(b"Entw\xfcrfe".decode("utf-8", "surrogateescape"))
    with pytest.raises(WrongName, match="control characters"):
        check_name("a\tb")


def test_what_lies_below_the_mailboxes_of_others_is_nobodys_own():
    for name in ("Other Users", "Other Users/bob/INBOX"):
        check_name(name)  # it may be there from before, and subscribed to
        with pytest.raises(WrongName, match="below Other Users"):
            check_own_name(name)
    for name in ("Other Users 2", "x/Other Users"):
        check_own_name(name)
    with pytest.raises(WrongName, match="octets"):
        check_own_name("")


def test_inbox_in_any_letters():
    assert [normalize(name) for name in ("iNbOx", "inbox/A", "inboxes", "A/inbox")] == [
        "INBOX", "INBOX/A", "inboxes", "A/inbox",
    ]  # fmt: skip
    assert parents("a/b/c") == ["a", "a/b"]
