"""The DNS from a few lines of text: a resolver in memory, and a server on a loopback port for whole processes.

One line a record, names absolute with or without the final dot, `;` begins a comment line; what no line names does not
exist:

    example.org         MX    10 mx.example.org
    mx.example.org      A     192.0.2.25
    example.org         TXT   v=spf1 mx -all                (as it stands, or strings in quotation marks)
    www.example.org     CNAME example.org
    _25._tcp.mx.example.org TLSA 3 1 1 0123...
    TTL 60                              of the lines that follow (default 300); also how long a "no" holds
    FAIL example.net                    every type: a failure (the server: SERVFAIL)
    FAIL example.net MX                 this type
    AUTHENTIC example.org               validated by DNSSEC, with all names below it

FakeDnsServer misbehaves by table: name (or "*") -> a word of BEHAVIOURS.
"""

import contextlib
import select
import socket
import struct
import threading
from functools import lru_cache

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.wire

from mailsrv.system.dns import Answer, DnsFailure, Status
from mailsrv.system.dns_wire import READERS, parse_name, print_name

IN = dns.rdataclass.IN


# The same few zones are read in thousands of tests.
@lru_cache(maxsize=4096)
def _name(text):
    return print_name(parse_name(text))


@lru_cache(maxsize=4096)
def _record(kind, value):
    if kind == "TLSA":  # dnspython refuses those that mean "unusable"
        fields = value.split(None, 3)
        octets = bytes([*map(int, fields[:3])]) + bytes.fromhex(fields[3])
        return dns.rdata.GenericRdata(IN, dns.rdatatype.TLSA, octets)
    if kind == "TXT" and not value.startswith('"'):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        value = " ".join(f'"{escaped[i : i + 200]}"' for i in range(0, max(len(escaped), 1), 200))
    return dns.rdata.from_text(IN, kind, value, origin=dns.name.root, relativize=False)


class Zone:
    """The text as tables by (name, type); names as print_name gives them."""

    def __init__(self, text):
        self.records = {}
        self.ttls = {}
        self.failing = set()
        self.signed = []
        self.negative_ttl = 300
        ttl = 300
        for line in text.splitlines():
            words = line.split(None, 2)
            if not words or words[0].startswith(";"):
                continue
            if words[0] == "TTL":
                ttl = self.negative_ttl = int(words[1])
            elif words[0] == "FAIL":
                self.failing.add((_name(words[1]), words[2].strip() if len(words) > 2 else "*"))
            elif words[0] == "AUTHENTIC":
                self.signed.append(parse_name(words[1]))
            else:
                name, kind, value = _name(words[0]), words[1], words[2].strip()
                self.records.setdefault((name, kind), []).append(_record(kind, value))
                self.ttls[name, kind] = ttl

    def fails(self, name, kind):
        return bool({(name, kind), (name, "*")} & self.failing)

    def exists(self, name):
        """Also for a name that only has names below it (RFC 8020)."""
        return any(owner == name or owner.endswith("." + name) for owner, _ in self.records)

    def is_signed(self, name):
        return any(parse_name(name).is_subdomain(top) for top in self.signed)

    def follow(self, name, kind):
        """(links, records, failed): the names from `name` along its aliases, the records at the last one."""
        links = [name]
        while True:
            if self.fails(links[-1], kind):
                return links, [], True
            if records := self.records.get((links[-1], kind)):
                return links, records, False
            alias = self.records.get((links[-1], "CNAME"))
            if not alias:
                return links, [], False
            links.append(print_name(alias[0].target))
            if len(links) > 10:
                return links, [], True


class FakeResolver:
    """mailsrv.system.dns_values.Resolver over a zone text. `queries` are those that were asked, as (name, kind)."""

    def __init__(self, zone_text=""):
        self.zone = Zone(zone_text)
        self.queries = []

    def query(self, name, kind, budget=None):
        self.queries.append((name, kind))
        with budget.spend(f"{name} {kind}") if budget else contextlib.nullcontext():
            return self._answer(name, kind)

    def _answer(self, name, kind):
        read = READERS.get(kind)
        if read is None:
            raise ValueError(f"{kind}: a DNS type that is not read here")
        asked = parse_name(name)
        if asked is None:
            return Answer(Status.NO_NAME, (), False, float("inf"))
        links, records, failed = self.zone.follow(print_name(asked), kind)
        if failed:
            raise DnsFailure(f"{links[0]} {kind}: the zone of this test says FAIL")
        status = Status.FOUND if records else Status.NO_DATA if self.zone.exists(links[-1]) else Status.NO_NAME
        authentic = all(self.zone.is_signed(link) for link in links)
        values = tuple(read(dns.wire.Parser(record.to_wire())) for record in records)
        return Answer(status, values, authentic, float("inf"), links[-1])


class Exchange:
    """One query at the server: what behaviours look at. `octets` is the honest answer."""

    def __init__(self, zone, query, transport):
        self.zone = zone
        self.query = query
        self.transport = transport
        self.name = print_name(query.question[0].name)
        self.kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.response = self.respond()

    @property
    def octets(self):
        return self.response.to_wire(max_size=65535)

    def respond(self, most_links=99):
        response = dns.message.make_response(self.query, recursion_available=True, our_payload=1232)
        links, records, failed = self.zone.follow(self.name, self.kind)
        if failed:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        for alias in links[:-1][:most_links]:
            self.add(response, alias, "CNAME", self.zone.records[alias, "CNAME"])
        if self.query.flags & dns.flags.AD and all(map(self.zone.is_signed, links[:most_links])):
            response.flags |= dns.flags.AD
        if most_links < len(links):
            return response
        if records:
            self.add(response, links[-1], self.kind, records)
        else:
            if not self.zone.exists(links[-1]):
                response.set_rcode(dns.rcode.NXDOMAIN)
            response.authority.append(self.soa(links[-1]))
        return response

    def add(self, response, name, kind, records):
        response.answer.append(dns.rrset.from_rdata_list(parse_name(name), self.zone.ttls[name, kind], records))

    def soa(self, name):
        zone = ".".join(name.split(".")[-2:])
        ttl = self.zone.negative_ttl
        return dns.rrset.from_text(parse_name(zone), ttl, IN, "SOA", f"ns.{zone}. root.{zone}. 1 2 3 4 {ttl}")

    def rcode(self, code):
        response = dns.message.make_response(self.query, recursion_available=True)
        response.set_rcode(code)
        return [response.to_wire()]

    def raw(self, answers=b"", count=1, authority=0):
        """Header and question of the honest answer with these octets instead of its records."""
        question = dns.message.make_response(self.query).question[0].name.to_wire()
        question += struct.pack("!HH", dns.rdatatype.from_text(self.kind), 1)
        header = struct.pack("!HHHHHH", self.query.id, 0x8180, 1, count, authority, 0)
        return [header + question + answers]


def _truncated(exchange):
    return exchange.raw(count=0)[0][:2] + b"\x83\x80" + exchange.raw(count=0)[0][4:]


def _on_tcp(behave):
    """Truncated by UDP, and misbehaving by TCP."""
    return lambda exchange: [_truncated(exchange)] if exchange.transport == "udp" else behave(exchange)


def _wrong_id(exchange):
    octets = exchange.octets
    return [((exchange.query.id + 1) & 0xFFFF).to_bytes(2, "big") + octets[2:]]


def _wrong_question(exchange):
    other = dns.message.make_query("other.example", exchange.kind, id=exchange.query.id)
    response = dns.message.make_response(other)
    response.answer.append(dns.rrset.from_text("other.example.", 300, IN, "A", "203.0.113.66"))
    return [response.to_wire()]


def _records(kind, rdata, count):
    return (b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 300, len(rdata)) + rdata) * count


def _huge(exchange):
    octets = b"".join(_records(1, struct.pack("!I", number), 1) for number in range(4000))
    return exchange.raw(octets, 4000)


def _strangers(exchange):
    """The answer, and records that nobody asked for: other names, another class, and an address beside an alias."""
    response = exchange.response
    for name in ("victim.example.", "mx.victim.example."):
        response.answer.insert(0, dns.rrset.from_text(name, 300, IN, "A", "203.0.113.66"))
    response.answer.insert(0, dns.rrset.from_text(f"{exchange.name}.", 300, "CH", "TXT", "chaos"))
    response.additional.append(dns.rrset.from_text(f"{exchange.name}.", 300, IN, "A", "203.0.113.67"))
    return [response.to_wire()]


def _loop(exchange):
    response = dns.message.make_response(exchange.query)
    for name, target in (("a.loop.", "b.loop."), ("b.loop.", "a.loop."), (f"{exchange.name}.", "a.loop.")):
        response.answer.append(dns.rrset.from_text(name, 300, IN, "CNAME", target))
    return [response.to_wire()]


def _endless(exchange):
    """A new alias at every question."""
    response = dns.message.make_response(exchange.query)
    response.answer.append(dns.rrset.from_text(f"{exchange.name}.", 300, IN, "CNAME", f"x{exchange.query.id}.loop."))
    return [response.to_wire()]


def _no_edns(exchange):
    if exchange.query.edns < 0:
        return [exchange.octets]
    return [struct.pack("!HHHHHH", exchange.query.id, 0x8181, 0, 0, 0, 0)]


def _referral(exchange):
    response = dns.message.make_response(exchange.query)
    response.authority.append(dns.rrset.from_text("example.", 300, IN, "NS", "ns.example."))
    return [response.to_wire()]


def _soa_of_others(exchange):
    response = dns.message.make_response(exchange.query)
    response.authority.append(dns.rrset.from_text("victim.", 300, IN, "SOA", "ns.victim. root.victim. 1 2 3 4 300"))
    return [response.to_wire()]


def _bare(exchange):
    return [dns.message.make_response(exchange.query).to_wire()]


def _forged_ad(exchange):
    exchange.response.flags |= dns.flags.AD
    return [exchange.octets]


# Word -> function of an Exchange to the messages that are sent.
BEHAVIOURS = {
    "silent": lambda exchange: [],
    "servfail": lambda exchange: exchange.rcode(dns.rcode.SERVFAIL),
    "refuse": lambda exchange: exchange.rcode(dns.rcode.REFUSED),
    "truncated": _on_tcp(lambda exchange: [exchange.octets]),
    "truncated twice": lambda exchange: [_truncated(exchange)],
    "wrong id": _wrong_id,
    "wrong question": _wrong_question,
    "forgeries first": lambda exchange: [*_wrong_id(exchange), b"\0", *_wrong_question(exchange), exchange.octets],
    "many forgeries": lambda exchange: (
        [exchange.octets] if exchange.transport == "tcp" else _wrong_id(exchange) * 40 + _wrong_question(exchange)
    ),
    "question back": lambda exchange: [exchange.query.to_wire()],
    "garbage": lambda exchange: [exchange.raw(b"\xff" * 40)[0]],
    "compression loop": lambda exchange: exchange.raw(struct.pack("!H", 0xC000 + 18 + len(exchange.name)) + b"\0" * 10),
    "bad record": lambda exchange: exchange.raw(_records(1, b"\1\2\3", 1)),
    "empty txt": lambda exchange: exchange.raw(_records(16, b"", 1)),
    "odd txt": lambda exchange: exchange.raw(_records(16, b"\3\0\xff\n\0\2;\"", 1)),
    "records missing": lambda exchange: exchange.raw(b"", 3),
    "huge": _on_tcp(_huge),
    "empty tcp": _on_tcp(lambda exchange: [b""] * 9),
    "closed tcp": _on_tcp(lambda exchange: []),
    "slow drip": _on_tcp(lambda exchange: [exchange.octets]),
    "strangers": _strangers,
    "loop": _loop,
    "endless": _endless,
    "partial": lambda exchange: [exchange.respond(most_links=1).to_wire()],
    "no edns": _no_edns,
    "referral": _referral,
    "soa of others": _soa_of_others,
    "bare": _bare,
    "forged ad": _forged_ad,
}


class FakeDnsServer:
    """UDP and TCP on one loopback port from a zone text; a context manager. `nameserver` is what [dns] nameservers
    takes, `queries` what came as (transport, name, kind). `zone` and `misbehave` may be replaced while it runs.
    """

    def __init__(self, zone_text="", misbehave=None, host="127.0.0.1"):
        self.zone = Zone(zone_text)
        self.misbehave = dict(misbehave or {})
        self.queries = []
        self.gate = threading.Event()  # cleared: queries are counted and wait for it
        self.gate.set()
        self._stopping = threading.Event()
        self._threads = []
        self._udp, self._tcp = self._bind(host)
        self.port = self._udp.getsockname()[1]
        self.nameserver = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._wake, self._waker = socket.socketpair()
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    @staticmethod
    def _bind(host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for _ in range(50):
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.bind((host, 0))
            tcp = socket.socket(family, socket.SOCK_STREAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((host, udp.getsockname()[1]))
                tcp.listen(64)
                return udp, tcp
            except OSError:
                udp.close()
                tcp.close()
        raise AssertionError("no port that is free for UDP and TCP")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Every thread has ended when this returns."""
        self._stopping.set()
        self.gate.set()
        self._waker.close()
        self._server.join()
        for thread in self._threads:
            thread.join()
        for end in (self._udp, self._tcp, self._wake):
            end.close()

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]

    def _serve(self):
        poll = select.poll()  # a whole run of tests may have more descriptors than select takes
        ends = {end.fileno(): end for end in (self._udp, self._tcp, self._wake)}
        for number in ends:
            poll.register(number, select.POLLIN)
        while not self._stopping.is_set():
            ready = [ends[number] for number, _ in poll.poll()]
            if self._udp in ready:
                octets, client = self._udp.recvfrom(65535)
                self._start(self._answer_udp, octets, client)
            if self._tcp in ready:
                self._start(self._answer_tcp, self._tcp.accept()[0])

    def _answers(self, octets, transport):
        """(behaviour, messages to send)."""
        try:
            exchange = Exchange(self.zone, dns.message.from_wire(octets), transport)
        except dns.exception.DNSException:
            return "", []
        self.queries.append((transport, exchange.name, exchange.kind))
        self.gate.wait()
        behaviour = self.misbehave.get(exchange.name) or self.misbehave.get("*", "")
        return behaviour, BEHAVIOURS[behaviour](exchange) if behaviour else self._honest(exchange)

    @staticmethod
    def _honest(exchange):
        limit = 65535 if exchange.transport == "tcp" else max(512, exchange.query.payload)
        return [exchange.octets if len(exchange.octets) <= limit else _truncated(exchange)]

    def _answer_udp(self, octets, client):
        for message in self._answers(octets, "udp")[1]:
            with contextlib.suppress(OSError):  # the client may be gone
                self._udp.sendto(message, client)

    def _answer_tcp(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            head = connection.recv(2, socket.MSG_WAITALL)
            octets = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            behaviour, messages = self._answers(octets, "tcp")
            stream = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
            if behaviour != "slow drip":
                connection.sendall(stream)
                return
            for octet in stream:
                connection.sendall(bytes([octet]))
                if self._stopping.wait(0.05):
                    return
