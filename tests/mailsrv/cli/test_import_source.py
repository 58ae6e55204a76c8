"""Names and flags from elsewhere as they can be here."""

from mailsrv.cli.import_source import Origin, clean_flags, clean_name, distinct, use_of
from mailsrv.store.layout import check_name


def test_names():
    assert clean_name(["inbox", "a"]) == "INBOX/a"
    assert clean_name(["a/b", "", " c\x07 "]) == "a_b/c_"
    assert clean_name(["#x"]) == "_x"
    assert clean_name(["", " "]) == ""
    assert clean_name(str(number) for number in range(99)).count("/") == 31
    for levels in (["x" * 2000], ["ä" * 300, "b"], ["x" * 511, "y"]):
        check_name(clean_name(levels))


def test_what_others_share_keeps_its_place():
    assert clean_name(["Other Users", "bob"]) == "_Other Users/bob"
    assert clean_name(["Other Users"]) == "_Other Users"
    assert clean_name(["a", "Other Users"]) == "a/Other Users"


def test_flags():
    flags = ["\\seen", "\\Recent", "$Forwarded", "with space", "(", "\\Draft", "NonJunk", "ä"]
    assert clean_flags(flags) == {"\\Seen", "\\Draft", "$Forwarded", "NonJunk"}


def test_uses():
    assert [use_of(name) for name in ("Sent Items", "INBOX/Trash", "a/Sent", "x")] == ["\\Sent", "\\Trash", "", ""]


def test_each_name_once():
    origins = [Origin("b", "1"), Origin("a", "3"), Origin("a", "2"), Origin("INBOX", "4")]
    assert [(one.name, one.key) for one in distinct(origins)] == [("INBOX", "4"), ("a", "2"), ("a-2", "3"), ("b", "1")]
    many = [Origin("a", str(number)) for number in range(3000)] + [Origin("a-2", "x")]
    assert len({one.name for one in distinct(many)}) == 3001
