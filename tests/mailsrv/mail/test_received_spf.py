"""Received-SPF: the pairs of RFC 7208 section 9.1, and values from anybody."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.received_spf import ReceivedSpf, claims_receiver, received_spf_field
from mailsrv.mail.structured import MAX_VALUE, printable
from tests.mailsrv.mail.field_reader import check_lines, read_parts

PASS = ReceivedSpf(
    "pass",
    "192.0.2.1",
    "mx.example.com",
    "mailfrom",
    "example.com",
    "ann@example.com",
    "mx.example.org",
    "ip4:192.0.2.1",
)


def test_a_pass():
    assert received_spf_field(PASS) == (
        b"Received-SPF: pass (mx.example.org: example.com lets 192.0.2.1 send for it)\r\n"
        b'\tclient-ip=192.0.2.1; envelope-from="ann@example.com"; helo=mx.example.com;\r\n'
        b'\tidentity=mailfrom; mechanism="ip4:192.0.2.1"; receiver=mx.example.org;\r\n'
    )


def test_an_error():
    found = dataclasses.replace(PASS, result="permerror", client="2001:db8::1", mechanism="", problem='no "domain": a:')
    field = received_spf_field(found).decode()
    assert field.startswith("Received-SPF: permerror (mx.example.org: ")
    assert 'client-ip="2001:db8::1";' in field
    assert 'problem="no \\"domain\\": a:";' in field
    assert "mechanism" not in field


def test_the_helo_identity_has_no_envelope_from():
    found = dataclasses.replace(PASS, identity="helo", sender="postmaster@mx.example.com", domain="")
    field = received_spf_field(found).decode()
    assert "envelope-from" not in field
    assert "identity=helo;" in field
    assert "the client lets" in field


@pytest.mark.parametrize("result", ["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"])
def test_each_result_is_explained(result):
    text = received_spf_field(dataclasses.replace(PASS, result=result)).decode()
    assert text.startswith(f"Received-SPF: {result} (mx.example.org: ")
    assert "example.com" in text.partition("client-ip")[0].partition(":")[2]


TEXT = st.text(max_size=1200) | st.text(st.sampled_from('"\\();=@.{} \r\n\tab\u00fc\x00'), max_size=40)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_whatever_the_values_are_they_are_read_back(helo, domain, sender, mechanism, problem):
    found = ReceivedSpf("fail", "192.0.2.1", helo, "mailfrom", domain, sender, "mx.example.org", mechanism, problem)
    body = check_lines(received_spf_field(found), "Received-SPF")
    assert body.isascii()
    parts = read_parts(body)
    assert parts.pop() == []
    assert parts[0][0] == ("word", "fail")
    assert parts[0][1][0] == "comment"
    pairs = [word for part in parts for kind, word in part if kind == "word"][1:]
    given_pairs = {"helo": helo, "envelope-from": sender, "mechanism": mechanism, "problem": problem}
    wanted = {f"{key}={printable(value, MAX_VALUE)}" for key, value in given_pairs.items() if value}
    assert set(pairs) == wanted | {"client-ip=192.0.2.1", "identity=mailfrom", "receiver=mx.example.org"}


@pytest.mark.parametrize(
    "value",
    [
        b" pass client-ip=192.0.2.1; receiver=mx.example.org;",
        b' pass client-ip=192.0.2.1;\r\n\treceiver = "MX.example.org"',
        b" pass (mx.example.org: domain of a@b designates 192.0.2.1)",
        b" pass ( Mx.Example.org : domain of a@b designates 192.0.2.1)",
        received_spf_field(PASS).partition(b":")[2],
    ],
)
def test_a_field_that_claims_to_be_ours(value):
    assert claims_receiver(value, "mx.example.org")


@pytest.mark.parametrize(
    "value", [b"", b" pass", b" pass (mx.example.com: a) receiver=mx.example.com; helo=mx.example.org", b"\xff" * 100]
)
def test_a_field_of_others(value):
    assert not claims_receiver(value, "mx.example.org")
