"""The tree walk: the names it asks, what ends it, whose record applies, and a model by the letter of the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.dmarc_record import parse_record
from mailsrv.authn.organization import Tree, is_within, names_of_walk
from mailsrv.system.dns_values import DnsFailure
from tests.fakes.dns import FakeResolver


def zone(**records: str) -> str:
    """Policy records at domains, dots written as underscores."""
    return "\n".join(f"_dmarc.{name.replace('_', '.')} TXT v=DMARC1; {text}" for name, text in records.items())


def walked(text: str, domain: str) -> tuple[str, list[str]]:
    """The Organizational Domain, and the domains whose records were asked for."""
    resolver = FakeResolver(text)
    organization = Tree(resolver.query).organization(domain)
    assert {kind for _, kind in resolver.queries} <= {"TXT"}
    return organization, [name.removeprefix("_dmarc.") for name, _ in resolver.queries]


def test_the_names_of_a_long_domain() -> None:
    assert names_of_walk("a.b.c.d.e.f.g.h.i.j.mail.example.com") == [
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    ]


@pytest.mark.parametrize("count", range(1, 128))
def test_every_length(count: int) -> None:
    domain = ".".join(f"{number}" for number in range(count))
    names = names_of_walk(domain)
    assert len(names) == len(set(names)) == min(count, 8)
    assert names[0] == domain
    assert all(is_within(domain, name) for name in names)


@pytest.mark.parametrize(
    ("text", "domain", "organization", "asked"),
    [
        ("", "a.mail.example.com", "a.mail.example.com", 4),
        (zone(mail_example_com="p=none", example_com="p=none"), "a.mail.example.com", "example.com", 4),
        (zone(mail_example_com="psd=n", example_com="p=none"), "a.mail.example.com", "mail.example.com", 2),
        (zone(com="psd=y"), "a.mail.example.com", "example.com", 4),
        (zone(com="psd=y", a_mail_example_com="p=none"), "a.mail.example.com", "example.com", 4),
        (zone(bank_example="psd=y"), "bank.example", "bank.example", 1),
        (zone(bank_example="psd=y", example="p=none"), "x.bank.example", "x.bank.example", 2),
        (zone(g_h="psd=y"), "a.b.c.d.e.f.g.h", "f.g.h", 7),
        (zone(f_g_h_i_j_k_l="psd=y"), "a.b.c.d.e.f.g.h.i.j.k.l", "e.f.g.h.i.j.k.l", 2),
        (zone(com="p=none"), "example.com", "com", 2),
        (zone(example_com="psd=x"), "example.com", "example.com", 2),
        (zone(example_com="psd=n") + "\n_dmarc.example.com TXT v=DMARC1", "a.example.com", "a.example.com", 3),
        ("_dmarc.example.com TXT v=spf1\n" + zone(com="psd=y"), "a.example.com", "example.com", 3),
    ],
)
def test_organization(text: str, domain: str, organization: str, asked: int) -> None:
    found, names = walked(text, domain)
    assert (found, len(names)) == (organization, asked)


@pytest.mark.parametrize(
    ("text", "domain", "place"),
    [
        (zone(a_example_com="p=none", example_com="p=none"), "a.example.com", "a.example.com"),
        (zone(mail_example_com="p=none", example_com="p=none"), "a.mail.example.com", "example.com"),
        (zone(mail_example_com="psd=n", example_com="p=none"), "a.mail.example.com", "mail.example.com"),
        (zone(com="psd=y"), "a.example.com", "com"),
        (zone(com="psd=y", example_com="p=none"), "a.example.com", "example.com"),
        (zone(com="psd=y", mail_example_com="p=none"), "a.mail.example.com", "com"),
        (zone(com="psd=y"), "com", "com"),
        ("", "example.com", ""),
    ],
)
def test_discovery(text: str, domain: str, place: str) -> None:
    record, found = Tree(FakeResolver(text).query).discover(domain)
    assert found == place
    assert (record is None) is (place == "")


def test_sharing_an_organization() -> None:
    text = zone(example_com="p=none", dept_example_com="psd=n")
    tree = Tree(FakeResolver(text).query)
    assert tree.share("example.com", "example.com")
    assert tree.share("example.com", "mail.example.com")
    assert tree.share("mail.example.com", "example.com")
    assert not tree.share("example.com", "dept.example.com")
    assert not tree.share("dept.example.com", "example.com")
    assert tree.share("dept.example.com", "a.dept.example.com")
    assert not tree.share("example.com", "badexample.com")
    assert not tree.share("example.com", "com")


def test_equal_domains_and_other_top_levels_ask_nothing() -> None:
    resolver = FakeResolver("FAIL com\nFAIL net")
    tree = Tree(resolver.query)
    assert tree.share("example.com", "example.com")
    assert not tree.share("example.com", "example.net")
    assert resolver.queries == []


def test_walks_of_others_are_bounded() -> None:
    resolver = FakeResolver(zone(example_com="p=none"))
    tree = Tree(resolver.query, walks=2)
    assert [tree.share("example.com", f"{name}.example.com") for name in "aabbca"] == [True] * 4 + [False, True]
    assert len(resolver.queries) == 4


def test_known_organization_asks_nothing() -> None:
    resolver = FakeResolver(zone(example_com="p=none"))
    tree = Tree(resolver.query)
    assert tree.known_organization("a.example.com") == "a.example.com"
    assert resolver.queries == []
    tree.organization("a.example.com")
    assert tree.known_organization("a.example.com") == "example.com"
    assert len(resolver.queries) == 3


def test_failures_are_remembered() -> None:
    resolver = FakeResolver("FAIL _dmarc.com")
    tree = Tree(resolver.query)
    for _ in range(2):
        with pytest.raises(DnsFailure):
            tree.organization("example.com")
        with pytest.raises(DnsFailure):
            tree.discover("example.com")
    assert len(resolver.queries) == 2


@pytest.mark.parametrize(
    ("text", "exists", "asked"),
    [
        ("", False, 2),
        ("a.example.com A 192.0.2.1", True, 2),
        ("x.a.example.com A 192.0.2.1", True, 2),
        ("_dmarc.a.example.com TXT anything", True, 1),
        ("_dmarc.a.example.com CNAME nowhere.example.net", True, 1),
        ("a.example.com CNAME nowhere.example.net", True, 2),
        ("example.com A 192.0.2.1", False, 2),
    ],
)
def test_existence(text: str, exists: bool, asked: int) -> None:
    resolver = FakeResolver(text)
    assert Tree(resolver.query).exists("a.example.com") is exists
    assert len(resolver.queries) == asked


def model(records: dict[str, str], domain: str) -> str:
    """Section 4.10.2 over the records of all domains above, for domains of at most eight labels: name -> psd."""
    labels = domain.split(".")
    above = [".".join(labels[start:]) for start in range(len(labels))]
    found = []
    for name in above:
        if name in records:
            found.append(name)
            if records[name] in "yn":
                break
    for name in found:
        if records[name] == "n":
            return name
        if records[name] == "y" and name != domain:
            return above[above.index(name) - 1]
    return min(found, key=len) if found else domain


DOMAINS = st.lists(st.sampled_from("ab"), min_size=1, max_size=8).map(".".join)


@given(st.dictionaries(DOMAINS, st.sampled_from("uyn")), DOMAINS, DOMAINS)
def test_the_model_agrees(records: dict[str, str], first: str, second: str) -> None:
    resolver = FakeResolver("\n".join(f"_dmarc.{name} TXT v=DMARC1; psd={psd}" for name, psd in records.items()))
    tree = Tree(resolver.query)
    assert tree.organization(first) == model(records, first)
    assert tree.share(first, second) is (model(records, first) == model(records, second))
    record, place = tree.discover(first)
    choices = [first, model(records, first), *(name for name in names_of_walk(first) if records.get(name) == "y")]
    expected = next((name for name in choices if name in records), "")
    assert place == expected
    assert record == (parse_record(f"v=DMARC1; psd={records[place]}".encode()) if place else None)
    assert len(set(resolver.queries)) == len(resolver.queries)
