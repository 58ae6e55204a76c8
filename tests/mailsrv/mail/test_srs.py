"""Rewritten senders: there and back, over several forwarders, and what is not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.srs import VALID_DAYS, Srs, is_srs
from tests.fakes.clock import FakeClock

DAY = 86400


def make(secret: str = "0123456789abcdef", clock: FakeClock | None = None) -> Srs:
    return Srs(secret, clock or FakeClock())


@pytest.mark.parametrize(
    "text",
    [
        "ann@elsewhere.example",
        "Ann.B+c@elsewhere.example",
        "a=b=c@elsewhere.example",
        "srs@elsewhere.example",
        '"a b"@elsewhere.example',
        "é@xn--bcher-kva.example",
    ],
)
def test_there_and_back(text: str) -> None:
    srs, address = make(), parse_address(text)
    packed = srs.forward(address, "example.org")
    assert packed.domain == "example.org"
    assert packed.local_part.startswith("SRS0=")
    assert is_srs(packed.local_part)
    assert srs.reverse(parse_address(str(packed))) == address


def test_the_form() -> None:
    packed = make().forward(parse_address("ann@Elsewhere.example"), "example.org")
    # 1 700 000 000 s is day 19675, in base32 modulo 1024: G and 27.
    prefix, digest, rest = packed.local_part.split("=", 2)
    assert (prefix, len(digest), rest) == ("SRS0", 6, "G3=elsewhere.example=ann")


@given(st.from_regex(r"[A-Za-z0-9=.+_-]{1,20}", fullmatch=True))
def test_any_local_part_comes_back_even_if_case_is_lost(local_part: str) -> None:
    srs, address = make(), Address(local_part, "elsewhere.example")
    packed = srs.forward(address, "example.org")
    back = Address(packed.local_part.lower(), packed.domain)
    if is_srs(local_part):
        return
    assert srs.reverse(packed) == address
    assert srs.reverse(back).key == address.key
    assert srs.reverse(Address(packed.local_part.upper(), packed.domain)).key == address.key


def test_over_several_forwarders_the_report_goes_to_the_first_and_from_there_home() -> None:
    ann = parse_address("ann@elsewhere.example")
    one, two, three = make("secret of the first"), make("secret of the second"), make("secret of the third")
    first = one.forward(ann, "one.example")
    second = two.forward(first, "two.example")
    third = three.forward(second, "three.example")
    assert second.local_part.startswith("SRS1=")
    assert "=one.example==" in second.local_part
    assert "two.example" not in str(third), "only the first one is remembered"
    assert three.reverse(third) == first
    assert two.reverse(second) == first
    assert one.reverse(first) == ann


@pytest.mark.parametrize("separator", "=+-")
def test_the_separator_of_another_forwarder_is_kept(separator: str) -> None:
    srs, foreign = make(), Address(f"SRS0{separator}abcd=XY=a.example=ann", "one.example")
    packed = srs.forward(foreign, "example.org")
    assert packed.local_part.endswith(f"=one.example={separator}abcd=XY=a.example=ann")
    assert srs.reverse(packed) == foreign


def test_it_lasts_three_weeks() -> None:
    clock = FakeClock(1_700_000_000.0 // DAY * DAY)
    srs = make(clock=clock)
    packed = srs.forward(parse_address("ann@a.example"), "example.org")
    clock.advance(-1)
    assert srs.reverse(packed), "a clock that was put back"
    clock.advance(1 + (VALID_DAYS + 1) * DAY - 1)
    assert srs.reverse(packed)
    clock.advance(1)
    with pytest.raises(GrammarError, match="too old"):
        srs.reverse(packed)


def test_days_wrap_around() -> None:
    clock = FakeClock(1024 * 20 * DAY - 1)
    srs = make(clock=clock)
    packed = srs.forward(parse_address("ann@a.example"), "example.org")
    clock.advance(2)
    assert srs.reverse(packed)


@pytest.mark.parametrize("at", range(5, 60, 3))
def test_nothing_of_it_can_be_changed(at: int) -> None:
    srs = make()
    packed = srs.forward(parse_address("ann.has-a-long-name@elsewhere.example"), "example.org").local_part
    if at < len(packed):
        changed = packed[:at] + ("b" if packed[at] not in "bB" else "c") + packed[at + 1 :]
        with pytest.raises(GrammarError):
            srs.reverse(Address(changed, "example.org"))


@pytest.mark.parametrize(
    "local_part",
    [
        *("ann", "SRS0", "SRS0=", "SRS0=ABCDEF", "SRS0=ABCDEF=AA=a.example=", "SRS0==AA=a.example=ann"),
        *("SRS0=ABCDEF=AA=a.example=ann", "SRS1=ABCDEF=one.example==x", "SRS1=ABCDEF=one.example", "SRS2=A=B=C=D"),
        *("SRS0=ABCDEF=A=a.example=ann", "SRS0=ABCDEF=A1=a.example=ann", "SRS0=é=AA=a.example=ann"),
    ],
)
def test_what_was_not_made_here(local_part: str) -> None:
    with pytest.raises(GrammarError):
        make().reverse(Address(local_part, "example.org"))


def test_another_secret_does_not_fit() -> None:
    packed = make().forward(parse_address("ann@a.example"), "example.org")
    with pytest.raises(GrammarError, match="not made here"):
        make("another secret of ours").reverse(packed)


def test_what_stays_as_it_is() -> None:
    srs = Srs("0123456789abcdef", FakeClock(), "other.example".__eq__)
    for text in ("ann@Example.org", "ann@other.example", "ann@[192.0.2.1]", f"{'x' * 40}@a-long-domain.example"):
        assert srs.forward(parse_address(text), "example.org") == parse_address(text)


def test_the_longest_that_fits() -> None:
    local_part = "x" * (64 - len("SRS0=HHHHHH=TT=a.example="))
    packed = make().forward(Address(local_part, "a.example"), "example.org")
    assert len(packed.local_part) == 64
    assert make().reverse(parse_address(str(packed))).local_part == local_part
    assert make().forward(Address(local_part + "x", "a.example"), "example.org").domain == "a.example"


def test_prefixes() -> None:
    assert [is_srs(text) for text in ("SRS0=x", "srs1+x", "SRS0-", "SRS2=x", "srs", "xSRS0=")] == [
        *(True, True, True, False, False, False)
    ]
