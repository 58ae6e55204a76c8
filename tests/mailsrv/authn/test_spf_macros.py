"""SPF macros: the examples of RFC 7208 section 7.4, the grammar, and the time that both take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.spf_macros import (
    check_domain_spec,
    check_explanation,
    check_macro_string,
    expand,
    expand_name,
    names_local_part,
)
from mailsrv.errors import GrammarError

VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "p": "mx.example.org",
    "v": "in-addr",
    "h": "mx.example.org",
    "c": "192.0.2.3",
    "r": "receiver.example",
    "t": "1700000000",
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{d02}", "example.com"),
        ("%{d127}", "email.example.com"),
        ("%{d" + "7" * 5000 + "}", "email.example.com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{s-@}", "strong.bad@email.example.com"[:10] + ".email.example.com"),
        ("%{S}", "strong-bad%40email.example.com"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("100%%%_%-%%{d}", "100% %20%{d}"),
        ("%{c} %{r} %{t} %{h}", "192.0.2.3 receiver.example 1700000000 mx.example.org"),
    ],
)
def test_expansion(text, expanded):
    if "@" not in text:
        check_explanation(text)
    assert expand(text, VALUES.__getitem__) == expanded


def test_a_name_loses_labels_at_its_left_until_it_fits():
    assert expand_name("%{d}.", VALUES.__getitem__) == "email.example.com"
    name = expand_name("%{o}." * 20 + "example.org", VALUES.__getitem__)
    assert name.endswith("email.example.com.example.org")
    assert 253 - len("example.") < len(name) <= 253
    assert not name.startswith(".")
    assert expand_name("x" * 300, VALUES.__getitem__) == "x" * 300


GOOD = [
    "a.example",
    "a.example.",
    "%{d}",
    "a.%{d}",
    "a%%",
    "a%_",
    "a%-",
    "a.x-y",
    "a.1a",
    "_spf.%{d2}",
    "a:b/c.example",
    "A.B",
]
BAD = [
    "",
    "example",
    "a.",
    "a.1",
    "a.-b",
    "a.b-",
    "a..",
    "a.b c",
    "a.b\x00",
    "a.b\n",
    "a.\u00fc",
    "%",
    "%a",
    "a%",
    "%(d)",
    "%{",
    "%{d",
    "%{}",
    "%{a}",
    "%{d0}",
    "%{d00r}",
    "%{dx}",
    "%{dr2}",
    "%{d;}",
    "%%{d}",
    "%%%",
    "%{c}",
    "%{R}",
    "%{\u017f}",
    "a.%{d}x",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_a_domain_may_be(text):
    check_domain_spec(text)


@pytest.mark.parametrize("text", BAD)
def test_what_a_domain_may_not_be(text):
    with pytest.raises(GrammarError):
        check_domain_spec(text)


def test_other_texts():
    check_macro_string("")
    check_macro_string("%{c}!/.=")
    check_explanation("why %{c} not")
    for check, text in (
        (check_macro_string, "a b"),
        (check_macro_string, "%{d0}"),
        (check_explanation, "a\tb"),
        (check_explanation, "%z"),
    ):
        with pytest.raises(GrammarError):
            check(text)


def test_which_specs_name_the_local_part():
    assert [names_local_part(text) for text in ("%{l}.x", "%{S1r-}", "a%%%{l}")] == [True] * 3
    assert [names_local_part(text) for text in ("", "l.s", "%{d}", "%%{l}")] == [False] * 4


@pytest.mark.parametrize(
    "text", ["a" * 60_000, "." * 60_000, "." + "1" * 60_000 + "!", "%{d" + "1" * 60_000, "%" * 60_001, "a-" * 30_000]
)
def test_long_texts_take_no_longer_than_they_are(text):
    with pytest.raises(GrammarError):
        check_domain_spec(text)


@given(
    st.text(st.sampled_from("%{}lsdp01r-._a ")),
    st.dictionaries(st.sampled_from("lsdp"), st.text(max_size=9), min_size=4),
)
def test_what_passes_the_check_can_be_expanded(text, values):
    try:
        check_domain_spec(text)
    except GrammarError:
        return
    if "%" not in text:
        assert expand(text, values.__getitem__) == text
    assert not expand_name(text, lambda _: "").startswith("%{")
    expand_name(text, values.__getitem__)
