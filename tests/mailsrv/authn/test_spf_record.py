"""SPF records as values."""

import pytest

from mailsrv.authn.spf_record import MAX_TERMS, Directive, read_record
from mailsrv.errors import GrammarError


def test_directives():
    record = read_record("v=spf1 a ~MX:a.example/24//64 ?ip4:192.0.2.0/24  -all ", ip6=False)
    assert record.directives == (
        Directive("a", "a", "", 32, 0, "pass"),
        Directive("~MX:a.example/24//64", "mx", "a.example", 24, 0, "softfail"),
        Directive("?ip4:192.0.2.0/24", "ip4", "192.0.2.0", 24, 0xC0000200, "neutral"),
        Directive("-all", "all", "", 32, 0, "fail"),
    )


def test_lengths_are_those_of_the_client_s_kind_of_address():
    four, six = (read_record("v=spf1 a/24//64 mx ip6:2001:db8::/32", ip6).directives for ip6 in (False, True))
    assert [directive.length for directive in four] == [24, 32, 32]
    assert [directive.length for directive in six] == [64, 128, 32]
    assert six[2].network == 0x20010DB8 << 96


def test_modifiers_that_we_know():
    record = read_record("v=spf1 Redirect=a.example x=%{c} EXP=%{d} x=2", ip6=False)
    assert record.modifiers == {"redirect": "a.example", "exp": "%{d}"}
    assert record.directives == ()


@pytest.mark.parametrize(
    ("term", "complaint"),
    [
        ("moo", "Unknown mechanism found: moo"),
        ("-exists", "exists without a domain: -exists"),
        ("exists", "implicit exists not allowed: exists"),
        ("include", "include mechanism missing domain: include"),
        ("a:", "no domain"),
        ("a:example", "does not end in the name of a top domain: example"),
        ("ip4:192.0.2.1/" + "1" * 5000, "a number or an address that is none: ip4:192.0.2.1/111"),
        ("ip4:192.0.2.256", "Invalid IP4 address"),
        ("ip6:1::2::3", "Invalid IP6 address"),
        ("exp=", "no domain: exp="),
        ("redirect=%{c}.example", "for explanations alone: redirect=%{c}.example"),
        ("exp=a.example Exp=a.example", "exp= may stand there only once: Exp=a.example"),
        ("x=%", "x=%"),
        ("all,", "commas"),
        (":a", "Unknown mechanism found: :a"),
        ("a " * MAX_TERMS + "a", f"more than {MAX_TERMS} terms"),
    ],
)
def test_errors_spoil_the_whole_record(term, complaint):
    for _ in range(2):  # what was refused is not remembered as good
        with pytest.raises(GrammarError) as caught:
            read_record(f"v=spf1 +all {term}", ip6=False)
        assert complaint in str(caught.value)


def test_long_records_are_read_as_well_and_not_kept():
    text = "v=spf1 " + "ip4:192.0.2.1 " * 100
    first, second = read_record(text, False), read_record(text, False)
    assert first == second and first is not second
    assert read_record("v=spf1 a", True) is read_record("v=spf1 a", True)
