"""The table of actions: every command of the core that is built has one, and the guard around them."""

from mailsrv.imap.commands import COMMANDS
from mailsrv.imap.events import Aborted, AppendEnd, MessageChunk, MessageEnd, MessageStart
from mailsrv.imapd.act import ACTIONS, STREAMED, TAKEN, name_of
from tests.fakes.imap_client import House, message


def test_every_action_is_a_command() -> None:
    assert set(ACTIONS) <= {name_of(row) for row in COMMANDS.values()}


def test_commands_of_rfc_9051_have_an_action() -> None:
    names = {
        "NOOP", "LOGOUT", "ID", "STARTTLS", "LOGIN", "AUTHENTICATE", "ENABLE", "COMPRESS", "UNAUTHENTICATE", "IDLE",
        "NAMESPACE", "SELECT", "EXAMINE", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "LIST", "LSUB",
        "STATUS", "APPEND", "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "FETCH", "STORE", "SEARCH", "COPY", "MOVE",
    }  # fmt: skip
    assert names <= set(ACTIONS)


def test_every_event_of_a_message_is_taken() -> None:
    assert set(STREAMED) == {MessageStart, AppendEnd}
    assert set(TAKEN) == {MessageChunk, MessageEnd, Aborted}


def test_a_read_only_mailbox_is_not_changed(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(message())
    client = house.client(selected="INBOX", examine=True)
    for command in ("STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 INBOX"):
        assert client.do(command) == ["NO [READ-ONLY] this mailbox is selected read-only"]
    assert house.flags() == {1: 0}
