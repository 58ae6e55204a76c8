"""The reasons field: every rule in order, and no input that gets out of its comment."""

from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.reasons import reasons_field
from mailsrv.mail.structured import MAX_COMMENT, MAX_VALUE, printable
from tests.mailsrv.mail.field_reader import check_lines, read_parts


def test_no_rule():
    assert reasons_field([]) == b"X-Mailsrv-Reasons: none\r\n"


def test_rules():
    rules = [
        ("spf", "192.0.2.1 example.org (mx)", "fail"),
        ("dmarc", "", "quarantine it"),
        ("junk", "p=quarantine", "yes"),
    ]
    assert reasons_field(rules) == (
        b"X-Mailsrv-Reasons: spf=fail (192.0.2.1 example.org \\(mx\\));\r\n"
        b'\tdmarc="quarantine it";\r\n'
        b"\tjunk=yes (p=quarantine)\r\n"
    )


TEXT = st.text(max_size=1200) | st.text(st.sampled_from('"\\();= \r\n\tab\u00fc\x00'), max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["spf", "dmarc", "filter"]), TEXT, TEXT), min_size=1, max_size=6))
def test_whatever_the_input_is_it_is_read_back(rules):
    body = check_lines(reasons_field(rules), "X-Mailsrv-Reasons")
    assert body.isascii()
    for part, (rule, given_input, result) in zip(read_parts(body), rules, strict=True):
        assert part[0] == ("word", f"{rule}={printable(result, MAX_VALUE)}")
        comment = "".join("".join(text.split()) for _, text in part[1:])
        assert comment == "".join(printable(given_input, MAX_COMMENT).split())
