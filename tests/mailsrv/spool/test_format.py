"""The first line of a queue file: everything of an envelope comes back, and nothing unknown is taken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.spool.format import RECORDS, decode, decode_envelope, encode_envelope

from tests.house.manual import read_page
from tests.house.source import TOP

ENVELOPE = Envelope(
    id="dZJjly8m63W0",
    received=1795343882.125,
    reverse_path=Address("carol", "remote.example"),
    recipients=(
        Recipient(Address("a b", "bücher.example"), DsnRequest(("SUCCESS", "DELAY"), "rfc822;x y@z"), account=""),
        Recipient(Address("al", "[IPv6:::1]"), DsnRequest(("NEVER",)), Address("Alias", "example.org"), "alice"),
    ),
    parameters=MailParameters(1000, "8BITMIME", True, "HDRS", "envelope 1"),
    account="alice",
    client="192.0.2.1",
    size=4321,
    mailbox="Junk",
)

# More than the grammar lets in: what is kept must be readable whatever came to be kept.
local_parts = st.text(st.characters(max_codepoint=0x2FFF), max_size=20) | st.from_regex(r"[a-z.]{1,9}", fullmatch=True)
addresses = st.builds(Address, local_parts, st.sampled_from(["example.org", "müller.example", "[192.0.2.1]", ""]))
recipients = st.builds(
    Recipient,
    addresses,
    st.builds(DsnRequest, st.sampled_from([(), ("NEVER",), ("FAILURE", "DELAY")]), st.text(max_size=10)),
    st.none() | addresses,
    st.sampled_from(["", "alice"]),
)
envelopes = st.builds(
    Envelope,
    st.just("dZJjly8m63W0"),
    st.floats(0, 1e11),
    st.none() | addresses,
    st.lists(recipients, min_size=1, max_size=3).map(tuple),
    st.builds(MailParameters, st.integers(0, 2**40), st.sampled_from(["7BIT", "8BITMIME"]), st.booleans()),
    st.text(max_size=5),
    st.text(max_size=5),
    st.integers(0, 2**40),
    st.sampled_from(["", "Junk", "a-b_9"]),
)


@given(envelopes, st.integers(0, 2**64 - 1))
def test_everything_comes_back(envelope, nonce):
    line = encode_envelope(envelope, nonce)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert line.startswith(b'{"version":1,"nonce":"')
    queued = decode(line)
    assert (queued.envelope, queued.nonce) == (envelope, nonce)
    assert decode_envelope(line.rstrip(b"\n")) == envelope


def test_addresses_can_be_found_with_grep():
    line = encode_envelope(ENVELOPE, 1)
    assert b'"reverse_path":"carol@remote.example"' in line
    assert b'"original":"Alias@example.org"' in line


def change(**values):
    value = json.loads(encode_envelope(ENVELOPE, 7))
    value.update(values)
    return json.dumps({key: kept for key, kept in value.items() if kept != "gone"}).encode()


NO_MAILBOXES = [
    *[".", "..", "../bob", "/etc", "Junk/../../bob", "Junk/new", ".Junk", "Junk.old"],
    *["Junk\n", "J\0", "J k", "Jünk", "٣", "x" * 65],
]
FAULTS = [
    (change(version=2), "version 2 is not known"),
    (change(version=True), "version True is not known"),
    (change(version="gone"), "the first key must be version"),
    (b'{"nonce":"0000000000000001","version":1}', "the first key must be version"),
    (b"{}", "the first key must be version"),
    (change(nonce=7), "nonce: must be 16"),
    (change(nonce="gone"), "nonce: must be 16"),
    (change(colour="red"), "colour: unknown key"),
    (change(id="gone"), "id: missing"),
    (change(recipients=[]), "at least one"),
    (change(recipients=[{"address": "nobody"}]), r"recipients\[0\].address: is not an address"),
    (change(recipients=[{"address": "a@b c"}]), r"recipients\[0\].address: is not an address"),
    (change(recipients=[{"address": "a@b\r\n"}]), r"recipients\[0\].address: is not an address"),
    (change(recipients=[{"address": "a@b", "dsn": {"notify": ["NEVER", "DELAY"]}}]), "NEVER alone"),
    (change(recipients=[{"address": "a@b", "dsn": {"notify": ["ALWAYS"]}}]), "NEVER alone"),
    (change(size=-1), "size: must not be negative"),
    (change(mailbox=None), "mailbox: must be a text"),
    *((change(mailbox=name), "mailbox: must be at most 64") for name in NO_MAILBOXES),
    (change(received="now"), "received: must be a number"),
    (b"Subject: no envelope\r\n", "not JSON"),
]


@pytest.mark.parametrize(("line", "complaint"), FAULTS)
def test_anything_else_is_refused(line, complaint):
    with pytest.raises(GrammarError, match=complaint):
        decode(line)


@given(st.binary(max_size=60))
def test_garbage_is_never_an_accident(octets):
    with pytest.raises(GrammarError):
        decode(octets)


PAGE = {
    "Envelope": ["version", "nonce", *RECORDS.keys(Envelope)],
    "Recipient": RECORDS.keys(Recipient),
    "Reports": RECORDS.keys(DsnRequest),
    "Parameters": RECORDS.keys(MailParameters),
}


@pytest.mark.parametrize("subsection", PAGE)
def test_the_page_names_the_same_keys(subsection):
    _, items = read_page(TOP / "man/mailsrv-spool.5")
    documented = [item.tag for item in items if item.section == "A QUEUE FILE" and item.subsection == subsection]
    assert documented == PAGE[subsection]
