"""Shows a message to a milter, as sendmail would: the connection, the envelope, each field, the body, and its end.

One connection per message, at its end, when everything is known; the milter protocol as libmilter speaks it, versions 2
to 6. A milter may accept, reject or defer, with words of its own; discard and quarantine mean Junk. Fields that it adds
or inserts come on top, in its order. What would change the message or its envelope is not done, and said in the
finding: it was signed as it is. A recipient that is refused by itself keeps the message, unless all are: then the
message is refused, and for now if that is said of one of them.

Diagnostics: `Milter.scan` raises FilterFailed for answers that are none; PacketFault becomes that, too; Unreachable,
Lost, TimedOut, DnsFailure from the connection, StorageError from the scratch.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice

from mailsrv.system.bounded import BoundedConnection, TimeLimit, open_tcp, open_unix
from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import Resolver
from mailsrv.system.net import Lost, TimedOut
from mailsrv.mail import header
from mailsrv.mail.header import Header
from mailsrv.config.schema import FilterConfig
from mailsrv.receive import milter_packets as packets
from mailsrv.receive.filter import Action, Fields, FilterFailed, FilterFinding, FilterMessage, clean, refusal
from mailsrv.receive.milter_packets import Command, Kind, Packet, PacketFault, PacketReader, Steps

REJECTED = "the content filter refuses this"
DEFERRED = "the content filter wants this later, try again"

_FIRST_LOOK = 1 << 14  # octets: most headers are shorter
_HEADER_LIMIT = 2 << 20  # octets: a header may have half of it, and ours comes on top
# How much is gathered before it is sent when no answer is due.
_GATHERED = 1 << 16
_MAX_REPLIES = 10_000  # to one thing that it was told
# Where each is answered, which takes time: a message with more is judged by these, rather than not at all.
_MOST_FIELDS = 5_000

# For each command the steps by which a milter says that it does not want it, or does not answer it.
_STEPS = {
    Command.CONNECT: (Steps.NO_CONNECT, Steps.SILENT_CONNECT),
    Command.HELO: (Steps.NO_HELO, Steps.SILENT_HELO),
    Command.MAIL: (Steps.NO_MAIL, Steps.SILENT_MAIL),
    Command.RCPT: (Steps.NO_RCPT, Steps.SILENT_RCPT),
    Command.DATA: (Steps.NO_DATA, Steps.SILENT_DATA),
    Command.HEADER: (Steps.NO_HEADER, Steps.SILENT_HEADER),
    Command.END_OF_HEADER: (Steps.NO_END_OF_HEADER, Steps.SILENT_END_OF_HEADER),
    Command.BODY: (Steps.NO_BODY, Steps.SILENT_BODY),
}
# What a milter may ask for at the end of the message, and does not get.
_NOT_DONE = {
    Kind.CHANGE_FIELD: "a changed field",
    Kind.REPLACE_BODY: "another body",
    Kind.ADD_RECIPIENT: "another recipient",
    Kind.ADD_RECIPIENT_WITH: "another recipient",
    Kind.DELETE_RECIPIENT: "a recipient less",
    Kind.CHANGE_SENDER: "another sender",
}


class Milter:
    """The milter that filter.milter names."""

    name = "milter"

    def __init__(self, config: FilterConfig, clock: Clock, resolver: Resolver | None) -> None:
        self._seconds = config.timeout_seconds
        self._clock = clock
        self._open = _opener(config.milter, resolver)

    def scan(self, message: FilterMessage) -> FilterFinding:
        """See Scanner."""
        with self._open(TimeLimit(self._clock, self._seconds)) as connection:
            try:
                return _Conversation(connection, message).run()
            except PacketFault as error:
                raise FilterFailed(f"it answered {error}") from None


def _opener(where: str, resolver: Resolver | None) -> Callable[[TimeLimit], BoundedConnection]:
    """How to connect to inet:host:port, inet:[address]:port or unix:/path."""
    kind, _, rest = where.partition(":")
    if kind == "unix":
        return lambda limit: open_unix(rest, limit)
    host, _, port = rest.rpartition(":")
    name, number = host.strip("[]"), int(port)
    return lambda limit: open_tcp(name, number, limit, resolver)


class _Over(Exception):
    """The milter has decided before the message's end."""

    def __init__(self, finding: FilterFinding) -> None:
        self.finding = finding


class _Conversation:
    """One message."""

    def __init__(self, connection: BoundedConnection, message: FilterMessage) -> None:
        self._connection = connection
        self._message = message
        self._reader = PacketReader()
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._replies = 0
        self._options = packets.Options(packets.VERSION, Steps(0))
        self._fields = Fields(message.hostname)

    def run(self) -> FilterFinding:
        """Everything from the negotiation to the decision."""
        self._gather(packets.encode_options())
        self._options = packets.read_options(self._receive())
        try:
            self._envelope()
            self._content()
            finding = self._end()
        except _Over as over:
            finding = over.finding
        # It is asked nothing more: whether it hears this makes no difference.
        with suppress(Lost, TimedOut):
            self._gather(packets.encode(Command.QUIT))
            self._flush()
        return self._fields.onto(finding)

    def _envelope(self) -> None:
        message = self._message
        name = message.client_name or f"[{message.client}]"
        # Without the zone of a link's own addresses, of which libmilter knows nothing.
        address = "" if message.client == "local" else message.client.partition("%")[0]
        self._macros(Command.CONNECT, ("j", message.hostname), ("daemon_name", "mailsrv"), ("client_addr", address),
                     ("client_name", name), ("_", f"{name} [{address}]" if message.client_name else name))  # fmt: skip
        self._tell(Command.CONNECT, packets.encode_connect(name, address))
        version, _, cipher = message.tls.partition(" ")
        self._macros(Command.HELO, ("tls_version", version.replace("TLS", "TLSv")), ("cipher", cipher))
        self._tell(Command.HELO, packets.encode(Command.HELO, packets.texts(message.helo)))
        self._macros(Command.MAIL, ("i", message.id), ("mail_addr", message.reverse_path),
                     ("auth_authen", message.account))  # fmt: skip
        self._tell(Command.MAIL, packets.encode(Command.MAIL, packets.texts(f"<{message.reverse_path}>")))
        self._recipients()
        if self._options.version >= packets.DATA_SINCE:
            self._macros(Command.DATA, ("i", message.id))
            self._tell(Command.DATA, packets.encode(Command.DATA))

    def _recipients(self) -> None:
        refused = []
        for recipient in self._message.recipients:
            self._macros(Command.RCPT, ("rcpt_addr", recipient))
            try:
                self._tell(Command.RCPT, packets.encode(Command.RCPT, packets.texts(f"<{recipient}>")))
            except _Over as over:
                if over.finding.reply is None:
                    raise
                refused.append(over.finding)
                # Not which: this goes into the message, where one recipient must not read of another.
                self._fields.refuse("refusal of a recipient")
        if refused and len(refused) == len(self._message.recipients):
            # Deferred ones may be taken later, and the message can only be answered as a whole.
            raise _Over(next((one for one in refused if one.action is Action.DEFER), refused[0]))

    def _content(self) -> None:
        blocks = self._message.octets.blocks()
        scanned, first = _read_header(blocks)
        leading_space = Steps.LEADING_SPACE in self._options.steps
        most = None if Steps.SILENT_HEADER in self._options.steps else _MOST_FIELDS
        for _, octets in islice(scanned.raw_fields(), most):
            name, _, value = octets.partition(b":")
            value = value.removesuffix(b"\r\n")
            self._tell(Command.HEADER, packets.encode_field(name.rstrip(b" \t"), value, leading_space))
        self._tell(Command.END_OF_HEADER, packets.encode(Command.END_OF_HEADER))
        for packet in packets.encode_body(chain((first,), blocks)):
            if not self._tell(Command.BODY, packet):
                break

    def _end(self) -> FilterFinding:
        """The end of the message: what the milter wants done to it, and its decision."""
        self._macros(Command.END_OF_MESSAGE, ("i", self._message.id))
        self._gather(packets.encode(Command.END_OF_MESSAGE))
        quarantined: FilterFinding | None = None
        while True:
            packet = self._receive()
            kind = packet.kind
            if kind in (Kind.ADD_FIELD, Kind.INSERT_FIELD):
                self._fields.add(*packets.read_field(packet))
            elif kind in _NOT_DONE:
                self._fields.refuse(_NOT_DONE[kind])
            elif kind is Kind.QUARANTINE:
                quarantined = FilterFinding(Action.JUNK, reason=clean(packets.read_texts(packet.data, 1)[0]))
            elif kind is Kind.CONTINUE:
                return quarantined or FilterFinding(Action.ACCEPT)
            else:
                finding = _decision(packet)
                return quarantined if quarantined and finding.action is Action.ACCEPT else finding

    def _tell(self, command: Command, packet: bytes) -> bool:
        """Tell it one thing; False when it wants to hear no more of this kind. Raises _Over when it has decided."""
        unwanted, silent = _STEPS[command]
        if unwanted in self._options.steps:
            return False
        self._gather(packet)
        if silent in self._options.steps:
            if self._gathered_size > _GATHERED:
                self._flush()
            return True
        answer = self._receive()
        if answer.kind is Kind.CONTINUE:
            return True
        if answer.kind is Kind.SKIP and command is Command.BODY:
            return False
        raise _Over(_decision(answer))

    def _macros(self, command: Command, *macros: tuple[str, str]) -> None:
        if command not in _STEPS or _STEPS[command][0] not in self._options.steps:
            self._gather(packets.encode_macros(command, macros))

    def _gather(self, octets: bytes) -> None:
        self._gathered.append(octets)
        self._gathered_size += len(octets)

    def _flush(self) -> None:
        octets = b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_size = 0
        self._connection.send(octets)

    def _receive(self) -> Packet:
        """Send what is gathered, and wait for an answer that is one."""
        if self._gathered:
            self._replies = 0
        self._flush()
        while True:
            while (packet := self._reader.next_packet()) is None:
                self._reader.feed(self._connection.receive())
            self._replies += 1
            if self._replies > _MAX_REPLIES:
                raise FilterFailed("it answers without end")
            if packet.kind is not Kind.PROGRESS:
                return packet


def _read_header(blocks: Iterator[bytes]) -> tuple[Header, bytes]:
    """The header, and what of the body came with it."""
    head = bytearray()
    due = _FIRST_LOOK
    for block in blocks:
        head += block
        if len(head) < due:
            continue
        octets = bytes(head)
        scanned = header.scan(octets, False)
        if scanned is not None:
            return scanned, octets[scanned.length :]
        if len(head) > _HEADER_LIMIT:
            break
        due = 2 * len(head)  # a header that comes in crumbs is not searched again for each of them
    octets = bytes(head)
    scanned = header.scan(octets, True)
    assert scanned is not None  # if it has no end, all of it is a header
    return scanned, octets[scanned.length :]


def _decision(packet: Packet) -> FilterFinding:
    """What a packet decides. Raises PacketFault when it decides nothing."""
    kind = packet.kind
    if kind is Kind.ACCEPT:
        return FilterFinding(Action.ACCEPT)
    if kind is Kind.DISCARD:
        return FilterFinding(Action.JUNK, reason="discard")
    if kind is Kind.REJECT:
        return refusal(550, "5.7.1", "", REJECTED)
    if kind in (Kind.TEMPFAIL, Kind.CONNECTION_FAILURE, Kind.SHUTDOWN):
        return refusal(451, "4.7.1", "", DEFERRED)
    if kind is Kind.REPLY_CODE:
        code, enhanced, text = packets.read_reply_code(packet)
        # 421 would end the client's session, for which there is no reason.
        return refusal(451 if code == 421 else code, enhanced or f"{code // 100}.7.1", text,
                       DEFERRED if code < 500 else REJECTED)  # fmt: skip
    raise PacketFault(f"{kind.name.lower()} where a decision is due")
