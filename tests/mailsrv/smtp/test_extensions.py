"""What EHLO offers and the parameters that come with it."""

import pytest

from mailsrv.mail.envelope import DsnRequest, MailParameters
from mailsrv.smtp import extensions
from mailsrv.smtp.events import Limits, Offer
from mailsrv.smtp.replies import Refusal


def test_the_offer() -> None:
    lines = extensions.offered(Limits(message_size=5, recipients=10**9, messages=7), Offer(True, ("PLAIN", "LOGIN")))
    assert lines == (
        "PIPELINING",
        "SIZE 5",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "ENHANCEDSTATUSCODES",
        "DSN",
        "LIMITS MAILMAX=7 RCPTMAX=999999",
        "STARTTLS",
        "AUTH PLAIN LOGIN",
    )
    assert extensions.offered(Limits(), Offer())[-1].startswith("LIMITS ")


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", MailParameters()),
        ("SIZE=12 BODY=7BIT", MailParameters(size=12)),
        ("BODY=8bitMIME SMTPUTF8", MailParameters(body="8BITMIME", smtputf8=True)),
        ("RET=hdrs ENVID=a+20b", MailParameters(ret="HDRS", envid="a b")),
        ("AUTH=<>", MailParameters()),
        ("AUTH=a+2Bb@c.example", MailParameters()),
    ],
)
def test_parameters_of_mail(text: str, parameters: MailParameters) -> None:
    assert extensions.read_mail_parameters(text) == parameters


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("", DsnRequest()),
        ("NOTIFY=NEVER", DsnRequest(("NEVER",))),
        ("NOTIFY=delay,success,delay ORCPT=rfc822;x@y.example", DsnRequest(("DELAY", "SUCCESS"), "rfc822;x@y.example")),
    ],
)
def test_parameters_of_rcpt(text: str, request_: DsnRequest) -> None:
    assert extensions.read_rcpt_parameters(text) == request_


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SIZE", 501),
        ("SIZE=1 SIZE=1", 501),
        ("SIZE=\u0661", 501),
        ("BODY=BINARYMIME", 555),
        ("BODY=X", 501),
        ("SMTPUTF8=1", 501),
        ("RET=\u017f", 501),
        ("ENVID=" + "a" * 101, 501),
        ("AUTH=a", 501),
        ("AUTH=+", 501),
        ("X=1", 555),
        ("X SIZE=x", 555),
        ("=", 501),
    ],
)
def test_wrong_parameters_of_mail(text: str, code: int) -> None:
    with pytest.raises(Refusal) as error:
        extensions.read_mail_parameters(text)
    assert (error.value.reply.code, error.value.reply.enhanced) == (code, "5.5.4")


@pytest.mark.parametrize(
    "text", ["NOTIFY=NEVER,DELAY", "NOTIFY=", "NOTIFY", "NOTIFY=,", "NOTIFY=\u017fUCCESS", "ORCPT=x", "ORCPT"]
)
def test_wrong_parameters_of_rcpt(text: str) -> None:
    with pytest.raises(Refusal) as error:
        extensions.read_rcpt_parameters(text)
    assert error.value.reply.code == 501
