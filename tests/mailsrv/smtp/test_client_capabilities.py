"""Answers to EHLO, those of strange servers too."""

from mailsrv.smtp.client_capabilities import NO_CAPABILITIES, read_capabilities


def test_what_is_offered() -> None:
    offered = read_capabilities(
        ["PIPELINING", "size 1000 ", "AUTH PLAIN login", "LIMITS mailmax=5 RCPTMAX=100", "8BITMIME", "X-NEW a b"]
    )
    assert "PIPELINING" in offered and "8BITMIME" in offered and "DSN" not in offered
    assert (offered.size, offered.mechanisms) == (1000, ("PLAIN", "LOGIN"))
    assert (offered.recipients_limit, offered.messages_limit) == (100, 5)
    assert offered.keywords["X-NEW"] == "a b"


def test_nothing_is_offered() -> None:
    for offered in (NO_CAPABILITIES, read_capabilities([])):
        assert not offered.keywords
        assert (offered.size, offered.mechanisms, offered.recipients_limit, offered.messages_limit) == (0, (), 0, 0)


def test_strange_servers() -> None:
    offered = read_capabilities(
        ["", "AUTH=LOGIN", "AUTH PLAIN", "SIZE", "LIMITS RCPTMAX=many X", "***", "XXXXXXXA", "?x y"]
    )
    assert offered.mechanisms == ("LOGIN", "PLAIN")
    assert (offered.size, offered.recipients_limit) == (0, 0)
    assert set(offered.keywords) == {"AUTH", "SIZE", "LIMITS", "XXXXXXXA"}
    assert read_capabilities(["SIZE -1"]).size == read_capabilities(["SIZE " + "9" * 30]).size == 0


def test_without() -> None:
    offered = read_capabilities(["DSN", "SIZE 5"])
    assert offered.without(frozenset({"CHUNKING"})) is offered
    assert set(offered.without(frozenset({"DSN"})).keywords) == {"SIZE"}
