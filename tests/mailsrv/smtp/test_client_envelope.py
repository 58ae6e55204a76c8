"""MAIL and RCPT as they are written, and what is refused instead."""

import pytest

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, MailParameters, Recipient
from mailsrv.smtp import client_envelope
from mailsrv.smtp.client_capabilities import NO_CAPABILITIES, read_capabilities
from mailsrv.smtp.client_envelope import write_commands
from mailsrv.smtp.client_events import Answer, Stage, Transaction
from mailsrv.smtp.extensions import read_mail_parameters, read_rcpt_parameters

EVERYTHING = read_capabilities(["SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN"])
PLAIN = MailParameters()
NO_DSN = DsnRequest()
ASCII = Address("a", "b.example")


def make(*addresses, sender=ASCII, parameters=PLAIN, size=100, dsn=NO_DSN, **facts):
    recipients = tuple(Recipient(address, dsn) for address in addresses or (Address("c", "d.example"),))
    return Transaction(sender, recipients, parameters, size, **facts)


def refusals(message, offered):
    return [answer.reply for _, answer in sorted(write_commands(message, offered).refused.items())]


def test_nothing_is_said_to_a_server_that_offers_nothing() -> None:
    message = make(
        parameters=MailParameters(5, "8BITMIME", True, "FULL", "id"), dsn=DsnRequest(("NEVER",), "rfc822;x@y.example")
    )
    commands = write_commands(message, NO_CAPABILITIES)
    assert commands.mail == b"MAIL FROM:<a@b.example>\r\n"
    assert commands.recipients == [(0, b"RCPT TO:<c@d.example>\r\n")]
    assert not (commands.mail_extras or commands.rcpt_extras or commands.refused)


def test_everything_is_said_to_a_server_that_offers_it() -> None:
    message = make(
        sender=None,
        parameters=MailParameters(5, "7BIT", False, "FULL", "a b"),
        dsn=DsnRequest(("SUCCESS", "FAILURE"), "rfc822;x+y@z.example"),
        eight_bit=True,
    )
    commands = write_commands(message, EVERYTHING)
    assert commands.mail == b"MAIL FROM:<> SIZE=100 RET=FULL ENVID=a+20b BODY=8BITMIME\r\n"
    assert commands.recipients == [
        (0, b"RCPT TO:<c@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+2By@z.example\r\n")
    ]
    assert commands.mail_extras and commands.rcpt_extras


def test_addresses_are_quoted_and_the_postmaster_needs_no_domain() -> None:
    commands = write_commands(make(Address('a b"', "d.example"), Address("Postmaster", "")), EVERYTHING)
    assert [line for _, line in commands.recipients] == [
        b'RCPT TO:<"a b\\""@d.example>\r\n',
        b"RCPT TO:<Postmaster>\r\n",
    ]


def test_domains_become_a_labels_where_the_server_knows_no_others() -> None:
    message = make(Address("c", "bücher.example"), sender=Address("a", "bücher.example"))
    for offered in (NO_CAPABILITIES, EVERYTHING):  # nothing else needs SMTPUTF8, so it is not asked for
        commands = write_commands(message, offered)
        assert b"<a@xn--bcher-kva.example>" in commands.mail and b"SMTPUTF8" not in commands.mail
        assert commands.recipients[0][1] == b"RCPT TO:<c@xn--bcher-kva.example>\r\n"
    commands = write_commands(make(Address("ü", "bücher.example")), EVERYTHING)
    assert commands.mail.endswith(b" SMTPUTF8\r\n")
    assert commands.recipients[0][1] == "RCPT TO:<ü@bücher.example>\r\n".encode()


def test_only_the_recipient_that_needs_smtputf8_fails() -> None:
    message = make(Address("ü", "d.example"), Address("c", "d.example"))
    commands = write_commands(message, read_capabilities(["8BITMIME"]))
    assert commands.refused == {0: Answer(client_envelope.NO_UTF8_RECIPIENT, Stage.NEEDS, by_peer=False)}
    assert [index for index, _ in commands.recipients] == [1]


@pytest.mark.parametrize(
    ("facts", "offered", "refusal"),
    [
        ({"size": 1001}, EVERYTHING, client_envelope.TOO_BIG),
        ({"size": 1000}, EVERYTHING, None),
        ({"size": 10**9}, read_capabilities(["SIZE 0"]), None),
        ({"eight_bit": True}, NO_CAPABILITIES, client_envelope.NO_EIGHT_BIT),
        ({"eight_bit": True}, read_capabilities(["8BITMIME"]), None),
        ({"eight_bit": True}, read_capabilities(["SMTPUTF8"]), None),
        ({"utf8_header": True, "eight_bit": True}, read_capabilities(["8BITMIME"]), client_envelope.NO_UTF8_HEADER),
        ({"sender": Address("ü", "b.example")}, NO_CAPABILITIES, client_envelope.NO_UTF8_SENDER),
        ({"parameters": MailParameters(smtputf8=True)}, NO_CAPABILITIES, None),
        ({"sender": Address("a", "b> X")}, NO_CAPABILITIES, client_envelope.BAD_SENDER),
        ({"sender": Address("a", "ü..example")}, NO_CAPABILITIES, client_envelope.BAD_SENDER),
        ({"sender": Address("a\r\nRSET", "b.example")}, EVERYTHING, client_envelope.BAD_SENDER),
    ],
)
def test_what_the_whole_message_needs(facts, offered, refusal) -> None:
    message = make(Address("c", "d.example"), Address("e", "d.example"), **facts)
    assert refusals(message, offered) == ([refusal] * 2 if refusal else [])
    assert bool(write_commands(message, offered).recipients) is (refusal is None)


@pytest.mark.parametrize("domain", ["d.example>\r\nRCPT TO:<y@d.example", "d.example>", "d.example X"])
def test_no_address_can_be_more_than_an_address(domain: str) -> None:
    assert refusals(make(Address("x", domain)), EVERYTHING) == [client_envelope.BAD_RECIPIENT]


@pytest.mark.parametrize(
    ("orcpt", "utf8"),
    [("utf-8;ü+x=\\@é.example", True), ("utf-8;ü+x=\\@é.example", False), ("rfc822;a+b=c d@e.example", False)],
)
def test_an_orcpt_survives_the_way_to_our_own_server(orcpt: str, utf8: bool) -> None:
    offered = EVERYTHING if utf8 else read_capabilities(["DSN"])
    message = make(dsn=DsnRequest((), orcpt), parameters=MailParameters(smtputf8=utf8))
    ((_, line),) = write_commands(message, offered).recipients
    assert line.isascii() is not utf8
    assert read_rcpt_parameters(line.decode().split(" ", 2)[2].strip()) == DsnRequest((), orcpt)


def test_what_cannot_be_written_is_left_out() -> None:
    offered = read_capabilities(["DSN"])
    for orcpt in ("rfc822;é@b.example", "rfc822;" + "x" * 500, "x"):
        assert write_commands(make(dsn=DsnRequest((), orcpt)), offered).recipients[0][1].count(b" ") == 1
    commands = write_commands(make(parameters=MailParameters(envid="=" * 40)), offered)
    assert commands.mail == b"MAIL FROM:<a@b.example>\r\n"


def test_our_own_server_reads_the_parameters_of_mail() -> None:
    message = make(parameters=MailParameters(ret="HDRS", envid="a+b"), eight_bit=True, utf8_header=True)
    words = write_commands(message, EVERYTHING).mail.decode().split(" ", 2)[2].strip()
    assert read_mail_parameters(words) == MailParameters(100, "8BITMIME", True, "HDRS", "a+b")
