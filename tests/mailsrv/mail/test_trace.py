"""Received and Return-Path fields: the grammar of RFC 5321 section 4.4, folding, and what a client can do to them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.trace import (
    address_literal, from_clause, protocol, received_beginning, received_field, return_path_field,
)

DATE = "Tue, 14 Nov 2023 22:13:20 +0000"
DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
LITERAL = r"\[(?:\d+(?:\.\d+){3}|IPv6:[0-9a-f:.]+)\]"
COMMENT = r"(?: \([A-Za-z0-9._:? -]*\))"
# Stamp of section 4.4 with the folds taken out: comments only where CFWS may stand.
STAMP = re.compile(
    rf"Received: from (?:{DOMAIN}|{DOMAIN} \({LITERAL}\)|{LITERAL} \({LITERAL}\)){COMMENT}?"
    rf" by {DOMAIN} with [A-Z0-9]+{COMMENT}? id [A-Za-z0-9]+(?: for <[^<>\r\n]+@[^<>\r\n]+>)?;"
    r" [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000"
)


def make(helo="client.example", client="192.0.2.7", tls="", recipient=None, host="mx.example.org", smtputf8=False):
    beginning = received_beginning(from_clause(helo, client), host, "ESMTPS" if tls else "ESMTP", tls)
    return received_field(beginning, "7fKzQb12rXd0", recipient, smtputf8, DATE)


def unfolded(field: bytes) -> str:
    assert field.endswith(b"\r\n")
    return field[:-2].decode().replace("\r\n\t", " ")


def test_the_usual_field() -> None:
    field = make(tls="TLS1.3 TLS_AES_256_GCM_SHA384", recipient=parse_address("alice@example.org"))
    assert field == (
        b"Received: from client.example ([192.0.2.7])\r\n"
        b"\tby mx.example.org with ESMTPS (TLS1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tid 7fKzQb12rXd0 for <alice@example.org>;\r\n"
        b"\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
    )


def test_without_recipient_and_tls() -> None:
    assert make() == (
        b"Received: from client.example ([192.0.2.7])\r\n"
        b"\tby mx.example.org with ESMTP id 7fKzQb12rXd0;\r\n"
        b"\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("helo", "client", "words"),
    [
        ("client.example", "192.0.2.7", ["client.example", "([192.0.2.7])"]),
        ("[192.0.2.9]", "192.0.2.7", ["[192.0.2.9]", "([192.0.2.7])"]),
        ("client.example", "2001:db8::7", ["client.example", "([IPv6:2001:db8::7])"]),
        ("client.example", "::ffff:192.0.2.7", ["client.example", "([192.0.2.7])"]),
        ("client.example", "fe80::1%eth0", ["client.example", "([IPv6:fe80::1])"]),
        ("client.example", "local", ["client.example"]),
        ("[192.0.2.9]", "local", ["localhost", "(HELO ?192.0.2.9?)"]),
        ("my_pc", "192.0.2.7", ["[192.0.2.7]", "([192.0.2.7])", "(HELO my_pc)"]),
        ("[300.1.1.1]", "192.0.2.7", ["[192.0.2.7]", "([192.0.2.7])", "(HELO ?300.1.1.1?)"]),
        ("b\u00fccher.example", "192.0.2.7", ["xn--bcher-kva.example", "([192.0.2.7])"]),
        ("", "192.0.2.7", ["[192.0.2.7]", "([192.0.2.7])"]),
        ("", "local", ["localhost"]),
    ],
)
def test_from_clause(helo: str, client: str, words: list[str]) -> None:
    assert from_clause(helo, client) == words


@given(st.text(max_size=300), st.sampled_from(["192.0.2.7", "2001:db8::7", "local"]), st.text(max_size=60))
def test_no_greeting_breaks_the_grammar(helo: str, client: str, tls: str) -> None:
    field = make(helo=helo, client=client, tls=tls)
    assert STAMP.fullmatch(unfolded(field))
    assert all(len(line) <= 998 for line in field.split(b"\r\n"))


@given(st.from_regex(r"[a-z0-9.]{1,64}", fullmatch=True), st.integers(1, 60))
def test_lines_stay_under_78_where_words_allow(host: str, length: int) -> None:
    host = host.strip(".").replace("..", ".") or "x"
    recipient = Address("a" * length, "example.org")
    field = make(host=host, tls="TLS1.2 ECDHE-ECDSA-AES256-GCM-SHA384", recipient=recipient)
    assert all(len(line) <= 78 or " " not in line.strip() for line in field.decode().split("\r\n"))


def test_the_longest_address_fits() -> None:
    recipient = parse_address('"' + r"\"" * 31 + '"@' + ".".join(["d" * 60] * 3))
    assert all(len(line) <= 998 for line in make(recipient=recipient).split(b"\r\n"))


def test_utf8_recipient_only_with_smtputf8() -> None:
    recipient = parse_address("b\u00fccher@example.org")
    assert b"for <" not in make(recipient=recipient)
    assert "for <b\u00fccher@example.org>;" in make(recipient=recipient, smtputf8=True).decode()


def test_bare_postmaster_is_not_a_path_with_domain() -> None:
    assert b"for <" not in make(recipient=Address("Postmaster", ""))


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("", "SMTP"), ("E", "ESMTP"), ("ES", "ESMTPS"), ("EA", "ESMTPA"), ("ESA", "ESMTPSA"), ("EU", "UTF8SMTP"),
        ("ESU", "UTF8SMTPS"), ("ESAU", "UTF8SMTPSA"), ("EAU", "UTF8SMTPA"), ("EL", "LMTP"), ("ESL", "LMTPS"),
        ("ESAL", "LMTPSA"), ("EUL", "UTF8LMTP"), ("ESAUL", "UTF8LMTPSA"), ("S", "SMTP"),
    ],
)
def test_protocol_names(flags: str, name: str) -> None:
    assert protocol("E" in flags, "S" in flags, "A" in flags, "U" in flags, "L" in flags) == name


def test_address_literal_of_what_is_no_address() -> None:
    assert address_literal("local") == ""


def test_return_path() -> None:
    assert return_path_field(None) == b"Return-Path: <>\r\n"
    assert return_path_field(parse_address("a@b.example")) == b"Return-Path: <a@b.example>\r\n"
    assert return_path_field(parse_address('"a b"@b.example')) == b'Return-Path: <"a b"@b.example>\r\n'
