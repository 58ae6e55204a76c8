"""Mail from elsewhere: whose is checked, what becomes of it, and what is told where."""

import dataclasses

import pytest

from mailsrv.authn.dkim import FieldNames, SigningKey, hash_body, select_fields, sign
from mailsrv.authn.keys import Algorithm, make_private_key
from mailsrv.config.schema import ArcConfig, ChecksConfig, SpfConfig
from mailsrv.errors import StorageError
from mailsrv.mail.header import scan
from mailsrv.mail.reply import Reply
from mailsrv.receive.checks import is_checked
from mailsrv.receive.filter import Action, FilterFinding, Scan
from mailsrv.receive.house import Peer
from mailsrv.receive.state import State
from mailsrv.smtp.events import Kind
from tests.fakes.dns import FakeResolver
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_config, make_house

KEY = SigningKey("far.example", "s1", make_private_key(Algorithm.ED25519))
ZONE = f"""\
far.example TXT v=spf1 ip4:192.0.2.7 -all
far.example MX 10 mx.far.example
s1._domainkey.far.example TXT {KEY.private.public.record}
_dmarc.far.example TXT v=DMARC1; p=reject; rua=mailto:d@far.example
7.2.0.192.in-addr.arpa PTR mx.far.example
mx.far.example A 192.0.2.7
soft.example TXT v=spf1 -ip4:192.0.2.7 ?all
_dmarc.soft.example TXT v=DMARC1; p=quarantine
alone.example TXT v=spf1 ip4:198.51.100.0/24 -all
silent.example TXT v=spf1 -all
nowhere.example MX 0 .
FAIL broken.example
FAIL _dmarc.broken.example
"""
BODY = b"hi\r\n"
FIELDS = FieldNames((b"from", b"subject"), ())


class FakeFilter:
    def __init__(self, finding: FilterFinding) -> None:
        self.finding = finding
        self.shown = []

    def scan(self, message):
        self.shown.append((message, b"".join(message.octets.blocks())))
        return self.finding


class FakeSenders:
    def __init__(self) -> None:
        self.known = []
        self.error: StorageError | None = None

    def passed(self, network: str, domain: str) -> None:
        if self.error:
            raise self.error
        self.known.append((network, domain))

    def is_known(self, network: str, domain: str) -> bool:
        return False

    def seen(self, network: str, sender: str, recipient: str) -> float:
        return 1e9


class FakeCollector:
    def __init__(self) -> None:
        self.rows = []
        self.handed = []

    def collect(self, row) -> None:
        self.rows.append(row)

    def hand_over(self, identifier, octets) -> None:
        self.handed.append((identifier, b"".join(octets.blocks())))


def open_smtp(zone: str = ZONE, client: str = "192.0.2.7", kind: Kind = Kind.SMTP, config=None, **house) -> Dialogue:
    resolver = FakeResolver(zone)
    parts = {"lookups": lambda: resolver.query, "senders": FakeSenders(), "collector": FakeCollector(), **house}
    dialogue = Dialogue(make_house(config=config or make_config(), **parts), kind, client=client)
    dialogue.resolver = resolver
    dialogue.hello()
    return dialogue


def write(domain: str, *more: str, signed: bool = False) -> bytes:
    """A message from somebody at a domain."""
    header = "".join(f"{line}\r\n" for line in (f"From: a@{domain}", "Subject: hello", *more)).encode()
    if signed:
        header = sign(select_fields(scan(header, True), FIELDS), hash_body([BODY]), [KEY], 1_000_000_000) + header
    return header + b"\r\n" + BODY


def header_of(dialogue: Dialogue) -> str:
    """The stored header, unfolded."""
    stored = dialogue.house.delivery.kept[-1][2].partition(b"\r\n\r\n")[0].decode()
    return stored.replace("\r\n\t", " ").replace("\r\n ", " ")


def field(dialogue: Dialogue, name: str) -> str:
    values = [line.partition(": ")[2] for line in header_of(dialogue).split("\r\n") if line.startswith(f"{name}: ")]
    assert len(values) == 1, values
    return values[0]


def mailbox(dialogue: Dialogue) -> str:
    return dialogue.house.delivery.kept[-1][0].mailbox


@pytest.mark.parametrize(
    ("kind", "client", "account", "checked"),
    [
        (Kind.SMTP, "192.0.2.7", "", True),
        (Kind.SMTP, "2001:db8::7", "", True),
        (Kind.SMTP, "127.0.0.1", "", False),
        (Kind.SMTP, "::1", "", False),
        (Kind.SMTP, "::ffff:127.0.0.1", "", False),
        (Kind.SMTP, "192.0.2.7", "alice", False),
        (Kind.SUBMISSION, "192.0.2.7", "", False),
        (Kind.LMTP, "192.0.2.7", "", False),
        (Kind.LMTP, "local", "", False),
    ],
)
def test_whose_mail_is_checked(kind: Kind, client: str, account: str, checked: bool) -> None:
    house = make_house(lookups=lambda: FakeResolver().query)
    state = State(Peer("SESSION", kind, client), house)
    state.account = account
    assert is_checked(state) is checked
    assert not is_checked(State(state.peer, dataclasses.replace(house, lookups=None)))


def test_what_passes_gets_fields_that_say_so() -> None:
    dialogue = open_smtp()
    assert dialogue.send(write("far.example", signed=True), "a@far.example") == ["250 2.0.0 accepted as SESSION0"]
    results = field(dialogue, "Authentication-Results")
    assert results.startswith("mx.example.org;")
    for word in (
        "iprev=pass", "policy.iprev=192.0.2.7", "spf=pass", "smtp.mailfrom=a@far.example", "dkim=pass",
        "header.d=far.example", "header.s=s1", "header.a=ed25519-sha256", "dmarc=pass", "header.from=far.example",
    ):  # fmt: skip
        assert word in results
    assert field(dialogue, "Received-SPF").lower().startswith("pass ")
    reasons = field(dialogue, "X-Mailsrv-Reasons")
    assert "dmarc" in reasons and "sender" in reasons
    names = [line.partition(":")[0] for line in header_of(dialogue).split("\r\n")]
    assert names[:5] == ["X-Mailsrv-Reasons", "Authentication-Results", "Received-SPF", "Received", "DKIM-Signature"]
    assert mailbox(dialogue) == ""


def test_the_record_has_each_rule() -> None:
    dialogue = open_smtp()
    dialogue.send(write("far.example", signed=True), "a@far.example")
    rules = {rule["rule"]: rule for rule in dialogue.house.decisions.written[0]["rules"]}
    assert rules["sends_nothing"] == {
        "stage": "mail", "rule": "sends_nothing", "input": "far.example", "result": "accept",
    }  # fmt: skip
    assert rules["spf"]["result"].startswith("pass")
    assert rules["dmarc"]["result"].startswith("pass")
    assert rules["sender"] == {"stage": "data", "rule": "sender", "input": "far.example", "result": "accept"}


@pytest.mark.parametrize(
    ("sender", "message", "client", "reply"),
    [
        ("a@far.example", write("far.example"), "192.0.2.8", "550 5.7.1 rejected by the DMARC policy of far.example"),
        ("x@other.example", write("far.example"), "192.0.2.8", "550 5.7.1 "),
        ("x@other.example", write("far.example", "From: b@other.example"), "192.0.2.8", "550 5.7.1 "),
        ("x@other.example", write("far.example", signed=True), "192.0.2.8", "250 "),
        ("a@alone.example", write("alone.example"), "192.0.2.8", "550 5.7.23 "),
        ("a@alone.example", write("alone.example"), "198.51.100.9", "250 "),
        ("a@alone.example", write("far.example", signed=True), "192.0.2.8", "250 "),
        ("a@soft.example", write("soft.example"), "192.0.2.7", "250 "),
        ("a@broken.example", write("broken.example"), "192.0.2.7", "451 4.4.3 "),
        ("", write("far.example"), "192.0.2.8", "550 5.7.1 "),
        ("", write("unknown.example"), "192.0.2.8", "250 "),
        ("a@unknown.example", BODY, "192.0.2.8", "250 "),
        ("a@unknown.example", b"", "192.0.2.8", "250 "),
        ("a@unknown.example", b" folded\r\n\r\nx\r\n", "192.0.2.8", "250 "),
    ],
)
def test_replies(sender: str, message: bytes, client: str, reply: str) -> None:
    dialogue = open_smtp(client=client)
    assert dialogue.send(message, sender)[0].startswith(reply)
    assert bool(dialogue.house.delivery.kept) is reply.startswith("250")
    if not reply.startswith("250"):
        assert dialogue.house.log.of("refused")[0]["stage"] == "data"


def test_quarantine_is_junk() -> None:
    dialogue = open_smtp()
    dialogue.send(write("soft.example"), "a@soft.example")
    assert mailbox(dialogue) == "Junk"
    assert "junk" in field(dialogue, "X-Mailsrv-Reasons")


def test_spf_may_be_made_strict() -> None:
    config = make_config(spf=SpfConfig("reject"))
    dialogue = open_smtp(client="192.0.2.8", config=config)
    assert dialogue.send(write("far.example", signed=True), "a@far.example")[0].startswith("550 5.7.23 ")


@pytest.mark.parametrize(
    ("sender", "reason"),
    [("a@silent.example", "v=spf1 -all"), ("a@NOWHERE.example", "null MX")],
)
def test_domains_that_send_nothing(sender: str, reason: str) -> None:
    dialogue = open_smtp()
    (reply,) = dialogue.say(f"MAIL FROM:<{sender}>")
    assert reply.startswith("550 5.7.27 ") and reason in reply
    assert dialogue.house.decisions.written[0]["rules"][-1]["rule"] == "sends_nothing"
    assert dialogue.say("MAIL FROM:<a@broken.example>")[0].startswith("250")
    dialogue.say("RSET")
    assert dialogue.say("MAIL FROM:<a@[192.0.2.7]>")[0].startswith("250")


def test_who_is_exempt_is_not_even_looked_up() -> None:
    config = make_config(checks=ChecksConfig(["192.0.2.0/24"]))
    dialogue = open_smtp(config=config)
    assert dialogue.send(write("far.example"), "a@silent.example")[0].startswith("250")
    assert dialogue.resolver.queries == []
    assert "Authentication-Results" not in header_of(dialogue)


FORGED = (
    "Authentication-Results: mx.example.org; dmarc=pass", "X-Mailsrv-Reasons: none",
    "AUTHENTICATION-RESULTS: (x) MX.example.org/1;\r\n spf=pass",
)  # fmt: skip
OTHERS = "Authentication-Results: mx.far.example; spf=none"


@pytest.mark.parametrize(("client", "fields"), [("192.0.2.7", 3), ("127.0.0.1", 1)])
def test_forged_results_go(client: str, fields: int) -> None:
    dialogue = open_smtp(client=client)
    dialogue.send(write("unknown.example", *FORGED, OTHERS), "a@unknown.example")
    lines = header_of(dialogue).lower().split("\r\n")
    found = [line for line in lines if line.startswith(("authentication-results:", "x-mailsrv-reasons:"))]
    assert len(found) == fields
    assert OTHERS.lower() in found
    assert not any("dmarc=pass" in line for line in found)


def test_a_forged_received_spf_goes() -> None:
    dialogue = open_smtp()
    forged = "Received-SPF: pass (mx.example.org: forged) receiver=mx.example.org"
    others = "Received-SPF: pass (mx.example.com: others) receiver=mx.example.com"
    dialogue.send(write("unknown.example", forged, others), "a@unknown.example")
    header = header_of(dialogue)
    assert "forged" not in header
    assert others in header
    assert header.count("Received-SPF: ") == 2


def test_lmtp_brings_the_results_of_our_own_house() -> None:
    dialogue = open_smtp(kind=Kind.LMTP)
    dialogue.send(write("unknown.example", FORGED[0]), "a@unknown.example")
    assert FORGED[0] in header_of(dialogue)


@pytest.mark.parametrize(
    ("finding", "reply", "where"),
    [
        (FilterFinding(Action.ACCEPT, score=1.5, symbols=("A(1.50)",)), "250", ""),
        (FilterFinding(Action.JUNK, fields=b"X-Spam: yes\r\n"), "250", "Junk"),
        (FilterFinding(Action.REJECT, reply=Reply(550, "5.7.1", "spam")), "550 5.7.1 spam", None),
        (FilterFinding(Action.DEFER, reply=Reply(451, "4.7.1", "later")), "451 4.7.1 later", None),
        (FilterFinding(Action.ACCEPT, Scan.FAILED, "nobody there"), "250", ""),
    ],
)
def test_the_content_filter(finding: FilterFinding, reply: str, where: str | None) -> None:
    scanner = FakeFilter(finding)
    dialogue = open_smtp(filter=scanner)
    assert dialogue.send(write("far.example", signed=True), "a@far.example")[0].startswith(reply)
    message, octets = scanner.shown[0]
    assert (message.client, message.client_name, message.helo) == ("192.0.2.7", "mx.far.example", "client.example")
    assert (message.reverse_path, message.recipients) == ("a@far.example", ("alice@example.org",))
    assert octets.startswith(b"Authentication-Results: mx.example.org")
    if where is not None:
        assert mailbox(dialogue) == where
        assert finding.action.value in field(dialogue, "X-Mailsrv-Reasons")
        assert finding.fields.decode().strip() in header_of(dialogue)
    rules = dialogue.house.decisions.written[0]["rules"]
    assert [rule["rule"] for rule in rules].count("filter") == 1
    failed = [{"id": "SESSION0", "reason": "nobody there"}] if finding.scan is Scan.FAILED else []
    assert dialogue.house.log.of("unfiltered") == failed


def test_the_filter_does_not_see_what_is_refused() -> None:
    scanner = FakeFilter(FilterFinding(Action.ACCEPT))
    dialogue = open_smtp(client="192.0.2.8", filter=scanner)
    dialogue.send(write("far.example"), "a@far.example")
    assert scanner.shown == []


def test_who_passes_dmarc_is_known_afterwards() -> None:
    dialogue = open_smtp()
    dialogue.send(write("far.example"), "a@far.example")
    dialogue.send(write("soft.example"), "a@soft.example")
    dialogue.send(write("unknown.example"), "a@unknown.example")
    assert dialogue.house.senders.known == [("192.0.2.0/24", "far.example")]
    refusing = FakeFilter(FilterFinding(Action.REJECT, reply=Reply(550, "5.7.1", "spam")))
    refused = open_smtp(filter=refusing)
    refused.send(write("far.example"), "a@far.example")
    assert refused.house.senders.known == []
    assert len(refused.house.collector.rows) == 1
    dialogue.house.senders.error = StorageError("full")
    assert dialogue.send(write("far.example"), "a@far.example")[0].startswith("250")


def test_rows_for_reports() -> None:
    dialogue = open_smtp(client="192.0.2.8")
    dialogue.send(write("far.example"), "a@far.example", "alice@example.org", "bob@example.org")
    dialogue.send(write("far.example", signed=True), "a@far.example", "alice@example.org", "bob@example.net")
    dialogue.send(write("soft.example"), "a@soft.example")
    refused, signed, unwanted = dialogue.house.collector.rows
    assert unwanted is None
    assert (refused.header_from, refused.envelope_from, refused.envelope_to) == (
        "far.example", "far.example", "example.org",
    )  # fmt: skip
    assert (refused.disposition, refused.spf_aligned, refused.dkim_aligned) == ("reject", "fail", "fail")
    assert (signed.disposition, signed.dkim_aligned, signed.envelope_to) == ("none", "pass", "")


def test_what_comes_again_is_no_row_yet() -> None:
    later = FakeFilter(FilterFinding(Action.DEFER, reply=Reply(451, "4.7.1", "later")))
    dialogue = open_smtp(filter=later)
    dialogue.send(write("far.example"), "a@far.example")
    assert dialogue.house.collector.rows == []
    assert dialogue.house.senders.known == []


@pytest.mark.parametrize("client", ["192.0.2.7", "127.0.0.1"])
def test_reports_of_others_are_handed_over(client: str) -> None:
    dialogue = open_smtp(client=client)
    report = write("far.example", "Subject: Report Domain: example.org Submitter: far.example Report-ID: 1")
    dialogue.send(report, "a@far.example")
    dialogue.send(write("far.example"), "a@far.example")
    dialogue.send(report.replace(b"far.example", b"soft.example"), "a@soft.example")
    handed = dialogue.house.collector.handed
    junk = client == "192.0.2.7"  # the last one
    assert [identifier for identifier, _ in handed] == ["SESSION0"] + ([] if junk else ["SESSION2"])
    assert handed[0][1] == dialogue.house.delivery.kept[0][2]


def test_a_trusted_forwarder_is_read_from_the_configuration() -> None:
    # What trust means is shown in authn/test_verdict; here the key reaches it, in any case.
    config = make_config(arc=ArcConfig(["LIST.example"]))
    dialogue = open_smtp(config=config, client="192.0.2.8")
    assert dialogue.send(write("far.example"), "a@far.example")[0].startswith("550 5.7.1 ")


def test_a_budget_is_made_for_each_message() -> None:
    made = []
    resolver = FakeResolver(ZONE)

    def lookups():
        made.append(1)
        return resolver.query

    dialogue = open_smtp(lookups=lookups)
    dialogue.send(write("far.example"), "a@far.example")
    assert len(made) == 1
    dialogue.send(write("far.example"), "")
    assert len(made) == 2
