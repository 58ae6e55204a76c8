import dns.message
import pytest

from mailsrv.system.dns_reading import MAX_HOPS, MAX_NEGATIVE_TTL, MAX_TTL, Chain, read_response
from mailsrv.system.dns_values import DnsFailure, Status
from mailsrv.system.dns_wire import parse_message, parse_name, print_name


def response(text, kind="A", rcode="NOERROR"):
    """Of lines `answer|authority|additional name ttl class type data`."""
    sections = {"answer": [], "authority": [], "additional": []}
    for line in text.strip().splitlines():
        section, record = line.split(None, 1)
        sections[section].append(record)
    message = dns.message.from_text(
        f"id 1\nopcode QUERY\nrcode {rcode}\nflags QR RD RA\n;QUESTION\n"
        + "".join(f";{section.upper()}\n" + "\n".join(lines) + "\n" for section, lines in sections.items() if lines)
    )
    return parse_message(message.to_wire(), kind)


def read(text, kind="A", name="a.example", rcode="NOERROR"):
    """(status, records, TTL, canonical name)."""
    chain = Chain(parse_name(name))
    reading = read_response(response(text, kind, rcode), chain, kind, f"{name} {kind}")
    return reading.status, reading.records, chain.ttl, print_name(chain.name)


def test_aliases_are_followed_in_any_order_and_the_least_ttl_counts():
    text = """
answer c.example. 50 IN A 192.0.2.1
answer b.example. 20 IN CNAME c.example.
answer a.example. 30 IN CNAME b.example.
"""
    assert read(text) == (Status.FOUND, ("192.0.2.1",), 20, "c.example")
    assert read(text, "CNAME") == (Status.FOUND, ("b.example",), 30, "a.example")


def test_what_was_not_asked_for_is_not_there():
    text = """
answer b.example. 60 IN A 203.0.113.1
answer example. 60 IN A 203.0.113.2
answer a.example. 60 CH A 203.0.113.3 4
answer x.example. 60 IN CNAME a.example.
authority a.example. 60 IN A 203.0.113.4
additional a.example. 60 IN A 203.0.113.5
"""
    text = text.replace("CH A 203.0.113.3 4", 'CH TXT "203.0.113.3"')
    assert read(text) == (Status.NO_DATA, (), 0, "a.example")


def test_a_record_that_is_there_twice_is_one():
    text = "answer a.example. 60 IN MX 10 mx.example.\nanswer a.example. 60 IN MX 10 MX.EXAMPLE."
    assert len(read(text, "MX")[1]) == 1


def test_two_aliases_are_none():
    # dnspython's own messages hold one alias a name, so these come from octets.
    message = response("answer a.example. 60 IN CNAME b.example.")
    message.answer += response("answer a.example. 60 IN CNAME c.example.").answer
    with pytest.raises(DnsFailure, match="more than one alias"):
        read_response(message, Chain(parse_name("a.example")), "A", "?")


def test_an_address_beside_an_alias_is_the_names_own():
    text = "answer a.example. 60 IN CNAME b.example.\nanswer a.example. 60 IN A 192.0.2.1"
    assert read(text)[:2] == (Status.FOUND, ("192.0.2.1",))


def test_an_unfinished_chain():
    assert read("answer a.example. 60 IN CNAME b.other.") == (None, (), 60, "b.other")


SOA = "ns.example. root.example. 1 2 3 4"

NO = {
    "the SOA's minimum": (f"authority example. 900 IN SOA {SOA} 120", 120),
    "the SOA's own TTL": (f"authority example. 90 IN SOA {SOA} 120", 90),
    "our bound": (f"authority . 900000 IN SOA {SOA} 900000", MAX_NEGATIVE_TTL),
    "none": ("", 0),
    "a zone that the name is not in": (f"authority other. 900 IN SOA {SOA} 120", 0),
    "another name": (f"authority b.a.example. 900 IN SOA {SOA} 120", 0),
}


@pytest.mark.parametrize("case", NO)
@pytest.mark.parametrize(("rcode", "status"), [("NOERROR", Status.NO_DATA), ("NXDOMAIN", Status.NO_NAME)])
def test_no_holds_as_long_as_the_soa_says(case, rcode, status):
    text, ttl = NO[case]
    assert read(text, rcode=rcode) == (status, (), ttl, "a.example")


def test_no_at_the_end_of_a_chain():
    link = "answer a.example. 30 IN CNAME b.other.\n"
    assert read(link, rcode="NXDOMAIN") == (Status.NO_NAME, (), 0, "b.other")
    soa = f"authority other. 900 IN SOA {SOA} 120"
    assert read(link + soa, rcode="NXDOMAIN") == (Status.NO_NAME, (), 30, "b.other")
    assert read(link + soa) == (Status.NO_DATA, (), 30, "b.other")
    # The SOA of the alias's zone says nothing about the zone of its target: that one is asked.
    assert read(link + f"authority example. 900 IN SOA {SOA} 120")[0] is None


def test_ttl_bounds():
    assert read("answer a.example. 2147483647 IN A 192.0.2.1")[2] == MAX_TTL
    assert read("answer a.example. 0 IN A 192.0.2.1")[2] == 0


@pytest.mark.parametrize("target", ["a", "b", "c"])
def test_circles(target):
    text = f"""
answer a.example. 60 IN CNAME b.example.
answer b.example. 60 IN CNAME c.example.
answer c.example. 60 IN CNAME {target}.example.
"""
    with pytest.raises(DnsFailure, match=f"a.example A: its aliases .* go in a circle at {target}.example"):
        read(text)


def links(count):
    return "".join(f"answer n{number}.example. 60 IN CNAME n{number + 1}.example.\n" for number in range(count))


def test_too_many_aliases():
    address = "answer n{}.example. 60 IN A 192.0.2.1"
    assert read(links(MAX_HOPS) + address.format(MAX_HOPS), name="n0.example")[0] is Status.FOUND
    with pytest.raises(DnsFailure, match="more than 10 aliases"):
        read(links(MAX_HOPS + 1) + address.format(MAX_HOPS + 1), name="n0.example")


def test_a_chain_over_several_responses_is_one_chain():
    chain = Chain(parse_name("a.example"))
    for link in ("a.example. 60 IN CNAME b.example.", "b.example. 40 IN CNAME c.example."):
        assert read_response(response(f"answer {link}"), chain, "A", "?").status is None
    with pytest.raises(DnsFailure, match="circle"):
        read_response(response("answer c.example. 60 IN CNAME a.example."), chain, "A", "?")
