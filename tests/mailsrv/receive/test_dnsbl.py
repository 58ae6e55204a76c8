"""DNS lists: what is asked, which answers list a client, and that a list out of service lists nobody."""

import pytest

from mailsrv.receive.dnsbl import TEXT_CHARACTERS, Listing, judge, listed
from mailsrv.system.dns import Budget
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver

SIX = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
NEVER_SIX = "1.0.0.0.0.0.f.7.f.f.f.f" + 20 * ".0"

ZONE = f"""
7.2.0.192.bad.example       A    127.0.0.4
7.2.0.192.bad.example       A    127.0.0.2
7.2.0.192.bad.example       TXT  Spam seen, see https://bad.example/192.0.2.7
8.2.0.192.bad.example       A    127.255.255.254
{SIX}.bad.example           A    127.0.0.3
*.parked.example            A    203.0.113.5
7.2.0.192.parked.example    A    203.0.113.5
7.2.0.192.all.example       A    127.0.0.2
1.0.0.127.all.example       A    127.0.0.2
{SIX}.all.example           A    127.0.0.2
{NEVER_SIX}.all.example     A    127.0.0.2
7.2.0.192.half.example      A    127.0.0.2
FAIL 1.0.0.127.half.example
7.2.0.192.mute.example      A    127.0.0.2
FAIL 7.2.0.192.mute.example TXT
7.2.0.192.odd.example       A    127.0.0.2
7.2.0.192.odd.example       TXT  "a\\010b\\000\\255   \\"c\\"" "{'d' * 250}"
7.2.0.192.good.example      A    127.0.9.1
FAIL 7.2.0.192.down.example
"""

BAD = Listing("bad.example", ("127.0.0.2", "127.0.0.4"), "Spam seen, see https://bad.example/192.0.2.7")


def look(client, *zones):
    """The listing and the notes."""
    notes = []
    return listed(client, zones, FakeResolver(ZONE).query, notes), notes


@pytest.mark.parametrize(
    ("client", "zone", "listing"),
    [
        ("192.0.2.7", "bad.example", BAD),
        ("::ffff:192.0.2.7", "bad.example", BAD),
        ("192.0.2.7", "bad.example=127.0.0.[3..9]", Listing("bad.example", ("127.0.0.4",), BAD.text)),
        ("192.0.2.7", "BAD.Example", BAD),
        ("2001:db8::7", "bad.example", Listing("bad.example", ("127.0.0.3",))),
        ("192.0.2.7", "mute.example", Listing("mute.example", ("127.0.0.2",))),
        ("192.0.2.7", "odd.example", Listing("odd.example", ("127.0.0.2",), 'a b "c"' + (TEXT_CHARACTERS - 7) * "d")),
    ],
)
def test_who_is_listed(client, zone, listing) -> None:
    found, notes = look(client, zone)
    assert found == listing
    assert notes == [(listing.zone, f"listed: {' '.join(listing.answers)} {listing.text}".rstrip())]


@pytest.mark.parametrize(
    ("client", "zone", "note"),
    [
        ("192.0.2.9", "bad.example", "not listed"),
        ("192.0.2.7", "nowhere.example", "not listed"),
        ("192.0.2.7", "bad.example=127.0.0.9", "ignored: answered 127.0.0.2 127.0.0.4"),
        ("192.0.2.8", "bad.example", "ignored: answered 127.255.255.254"),
        ("192.0.2.7", "parked.example", "ignored: answered 203.0.113.5"),
        ("192.0.2.7", "all.example", "ignored: lists 127.0.0.1 too, which no list in service does"),
        ("2001:db8::7", "all.example", "ignored: lists 127.0.0.1 too, which no list in service does"),
        ("192.0.2.7", "down.example", "unavailable: 7.2.0.192.down.example A: the zone of this test says FAIL"),
        ("192.0.2.7", "half.example", "unavailable: 1.0.0.127.half.example A: the zone of this test says FAIL"),
    ],
)
def test_who_is_not(client, zone, note) -> None:
    assert look(client, zone) == (None, [(zone.partition("=")[0], note)])


def test_what_is_no_address_is_in_no_list() -> None:
    assert look("local", "bad.example") == (None, [])


def test_the_first_list_that_has_the_client_ends_it() -> None:
    found, notes = look("192.0.2.7", "down.example", "nowhere.example", "bad.example", "mute.example")
    assert found == BAD
    assert [zone for zone, _ in notes] == ["down.example", "nowhere.example", "bad.example"]


def test_one_question_for_who_is_not_listed() -> None:
    resolver = FakeResolver(ZONE)
    listed("192.0.2.9", ["bad.example"], resolver.query, [])
    assert resolver.queries == [("9.2.0.192.bad.example", "A")]


def test_a_good_list_comes_before_the_bad_ones() -> None:
    resolver = FakeResolver(ZONE)
    standing = judge("192.0.2.7", ["down.example", "good.example"], ["bad.example"], resolver.query)
    assert standing.good == Listing("good.example", ("127.0.9.1",))
    assert standing.bad is None
    assert [zone for zone, _ in standing.notes] == ["down.example", "good.example"]
    standing = judge("192.0.2.7", ["down.example"], ["bad.example"], resolver.query)
    assert (standing.good, standing.bad) == (None, BAD)


def test_a_spent_budget_lists_nobody() -> None:
    resolver = FakeResolver(ZONE)
    budget = Budget(1, 60.0, FakeClock())
    notes: list[tuple[str, str]] = []
    found = listed("192.0.2.7", ["nowhere.example", "bad.example"], lambda *q: resolver.query(*q, budget), notes)
    assert found is None
    assert notes[1][1].startswith("unavailable: 7.2.0.192.bad.example A: the budget of 1 DNS lookups")
