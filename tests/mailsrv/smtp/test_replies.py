"""The core's own replies: codes and enhanced codes agree, and every kind of fault has its words."""

from mailsrv.mail.reply import Reply
from mailsrv.smtp import replies

ALL = [value for value in vars(replies).values() if isinstance(value, Reply)] + list(replies.FRAMING.values())


def test_classes_agree() -> None:
    assert len(ALL) > 40
    for reply in ALL:
        if reply.enhanced:
            assert reply.enhanced[0] == str(reply.code)[0], reply
        else:
            assert reply is replies.HELLO_NAME  # RFC 2034 section 4


def test_texts_fit_a_line_with_an_id() -> None:
    for reply in ALL:
        assert reply.text.isascii()
        assert len(reply.encode(" id=12345678901")) <= 120


def test_refusals_carry_their_reply() -> None:
    assert replies.Refusal(replies.UNKNOWN).reply == replies.UNKNOWN
    assert str(replies.Refusal(replies.UNKNOWN)) == "500 5.5.2 no such command"


def test_what_a_client_wrote_is_bounded() -> None:
    assert len(replies.unknown_parameter("A" * 4000).text) < 80
