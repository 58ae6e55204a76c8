"""The configuration as values: every key of mailsrv.toml(5), its type, its default and what it is for, in one place.

A dataclass here is a table of the file; a field is a key; `key(...)` gives its default and its one-line meaning, from
which `mailsrv config` and the checks are made (the manual page is compared with it by a test). Nothing is read or
decided here.

Diagnostics: raises nothing.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

REQUIRED: Any = object()  # the default of a key that the file must give
MAX_WAIT = 30 * 86400  # seconds
TLS_LEVELS = ("", "none", "may", "encrypt", "verify")  # in mailsrv.transport.level, but for the first


def key(default: Any, meaning: str, **more: Any) -> Any:
    """A key with its default and meaning. `more`: secret=True hides the value; low/high bound numbers; choices lists
    words.
    """
    metadata = {"meaning": meaning, **more}
    if default is REQUIRED:
        return field(metadata={**metadata, "required": True})
    if isinstance(default, list | dict):
        return field(default_factory=lambda: default.copy(), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """[[accounts]]"""

    name: str = key(REQUIRED, "login and directory name; 1 to 64 of a-z 0-9 - _ . beginning with a letter or digit")
    addresses: list[str] = key(REQUIRED, "the account's addresses, each in one of domains")
    password_hash: str = key("", "argon2id hash from `mailsrv passwd`; without it nobody can log in", secret=True)
    scram_sha_256: str = key("", "SCRAM-SHA-256 key from `mailsrv passwd`", secret=True)
    quota_bytes: int = key(0, "octets the account may store; 0: that of its domain in quotas, or of limits", low=0)
    quota_messages: int = key(0, "messages the account may store; 0: likewise", low=0)
    sets_quotas: bool = key(False, "may set by IMAP what any account may store")


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """[[quotas]]"""

    domains: list[str] = key(REQUIRED, "some of the domains: holds for accounts whose first address is there")
    quota_bytes: int = key(0, "octets each of them may store; 0: limits.quota_bytes", low=0)
    quota_messages: int = key(0, "messages each of them may store; 0: limits.quota_messages", low=0)


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """[[listeners]]"""

    kind: str = key(
        REQUIRED, "the protocol spoken", choices=("smtp", "submission", "submissions", "lmtp", "imap", "imaps")
    )
    addr: str = key("127.0.0.1", "IP address to bind, or for lmtp the absolute path of a unix socket")
    port: int = key(0, "TCP port; 0: 25, 587, 465, 24, 143, 993 by kind", low=0, high=65535)
    proxy_from: list[str] = key([], "networks whose connections begin with a PROXY protocol header, and only they")
    without_tls: bool = key(False, "submission, imap: allow logins without TLS; only on a loopback addr")

    @property
    def is_unix(self) -> bool:
        """Whether addr is no IP address: then it is the path of a unix socket."""
        try:
            ipaddress.ip_address(self.addr)
        except ValueError:
            return True
        return False

    @property
    def is_imap(self) -> bool:
        """Whether clients read mail here: imapd's listeners, and not smtpd's."""
        return self.kind in ("imap", "imaps")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.is_unix or ipaddress.ip_address(self.addr).is_loopback

    @property
    def effective_port(self) -> int:
        """The port with its default by kind; 0 for a unix socket."""
        return 0 if self.is_unix else self.port or DEFAULT_PORTS.get(self.kind, 0)


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """[[tls.certificates]]"""

    cert_file: str = key(REQUIRED, "PEM file with a certificate and its chain; its names decide when it is used")
    key_file: str = key(REQUIRED, "PEM file with the private key")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """[tls]"""

    cert_file: str = key("", "PEM file with the certificate (P-256 recommended) and its chain, used by default")
    key_file: str = key("", "PEM file with its private key")
    certificates: list[CertificateConfig] = key([], "further certificates, chosen by the name that the client asks for")


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """[limits]"""

    message_size: int = key(50_000_000, "octets of one message", low=1024)
    quota_bytes: int = key(0, "octets an account may store unless it says otherwise; 0: no quota", low=0)
    quota_messages: int = key(0, "messages an account may store unless it says otherwise; 0: no quota", low=0)
    recipients: int = key(1000, "recipients of one message", low=1)
    command_line: int = key(4096, "octets of a command line", low=512)
    text_line: int = key(65536, "octets of one line of a message", low=998)
    commands: int = key(100_000, "commands of one session", low=10)
    errors: int = key(20, "refused commands of one session", low=1)
    junk_commands: int = key(100, "commands between two messages that do nothing", low=1)
    messages: int = key(10_000, "messages of one session", low=1)
    received_fields: int = key(50, "Received fields, beyond which a message loops", low=1)
    command_seconds: int = key(300, "wait for a command", low=1)
    data_seconds: int = key(600, "wait for the next octets of a message", low=1)
    session_seconds: int = key(86_400, "length of a session", low=10)
    data_rate: int = key(100, "octets per second that a message must come with, after 60 s", low=0)
    handshake_seconds: int = key(30, "time for a TLS handshake or a PROXY header", low=1)
    connections: int = key(2000, "connections in all", low=1)
    connections_per_address: int = key(50, "connections of one IPv4 address or IPv6 /64", low=1)
    workers: int = key(0, "smtpd processes; 0: two per core", low=0, high=64)
    imapd_workers: int = key(0, "imapd processes; 0: one per core", low=0, high=64)
    imap_connections: int = key(10_000, "connections of IMAP in all", low=1)
    imap_sessions: int = key(100, "sessions that one account may have", low=1)
    imap_idle_seconds: int = key(1800, "wait for a command of an IMAP session behind its login", low=1)
    drain_seconds: int = key(60, "time to end sessions at reload and stop; a running message has tenfold", low=1)
    memory_bytes: int = key(256_000_000, "octets of messages in memory, per process; more go to files", low=1_000_000)
    free_bytes: int = key(100_000_000, "octets that must stay free on the disk", low=0)
    free_inodes: int = key(1000, "inodes that must stay free on the disk", low=0)


@dataclass(frozen=True, slots=True)
class BansConfig:
    """[bans]"""

    failures: int = key(10, "failed logins within window_seconds that ban an address (IPv6: /64); 0: never", low=0)
    window_seconds: int = key(3600, "how long a failed login counts", low=1)
    ban_seconds: int = key(3600, "how long a ban lasts", low=1)
    allow: list[str] = key([], "networks never banned, slowed down or limited in connections")


@dataclass(frozen=True, slots=True)
class PrivilegesConfig:
    """[privileges]"""

    user: str = key("", "user that serves; default: owner of data_dir, else `mailsrv`, else a free number")
    group: str = key("", "its group; default: the user's")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """[log]"""

    destination: str = key("stderr", "stderr, syslog, or the absolute path of a file")
    format: str = key("logfmt", "form of a line", choices=("logfmt", "json"))
    level: str = key("info", "least level written", choices=("debug", "info", "notice", "warning", "error"))
    decisions_bytes: int = key(64_000_000, "octets of the decision record before it is rotated; 0: no record", low=0)
    decisions_files: int = key(8, "rotated decision records that are kept", low=0, high=1000)


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """[dns]"""

    nameservers: list[str] = key([], "IP addresses of resolvers, with ports if need be; none: those of the system")
    timeout_seconds: int = key(10, "time for one lookup with its retries", low=1)
    trust_ad: bool = key(False, "believe the nameservers' word on DNSSEC even if they are not on loopback")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """[queue]"""

    hold: bool = key(False, "send nothing to other servers, keep it queued")
    retry_seconds: list[int] = key(
        [300, 600, 1200, 2400, 4800, 9600, 14400], "waits after attempts; the last one repeats", low=1, high=MAX_WAIT
    )
    jitter_percent: int = key(10, "how much of a wait is left to chance, so that attempts spread", low=0, high=50)
    give_up_seconds: int = key(432_000, "age at which a message is returned", low=60, high=MAX_WAIT)
    delay_report_seconds: int = key(14_400, "age at which its sender learns that it waits; 0: never", low=0)
    connections: int = key(100, "deliveries at once, in all", low=1, high=1000)
    connections_per_hop: int = key(5, "connections at once to one next hop", low=1, high=1000)
    messages_per_connection: int = key(100, "messages over one connection", low=1)
    idle_seconds: int = key(2, "how long an idle connection waits for another message", low=0, high=60)
    connect_seconds: int = key(30, "time for one attempt to connect", low=1, high=300)
    port: int = key(25, "port of MX hosts; another one only for tests", low=1, high=65535)
    helo_name: str = key("", "the name in EHLO; default: hostname")


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """[[routes]]"""

    next_hop: str = key(REQUIRED, "direct, smtp:host:port, mx:domain, lmtp:host:port or lmtp:/path")
    domains: list[str] = key([], "recipients' domains: example.org, .example.org for all below it, * for all")
    accounts: list[str] = key([], "accounts whose mail goes this way; both: only mail to these domains from them")
    tls: str = key(
        "", "TLS demanded; default: verify with a password, none for a unix socket, else may", choices=TLS_LEVELS
    )
    username: str = key("", "login at the next hop")
    password: str = key("", "its password", secret=True)


@dataclass(frozen=True, slots=True)
class ReportsConfig:
    """[reports]"""

    languages: list[str] = key(["en"], "languages of reports, one below the other")
    template_dir: str = key("", "absolute directory of your own LANGUAGE.txt; default: templates in data_dir")
    author: str = key("MAILER-DAEMON", "who writes reports: an address, or a local part at hostname")
    postmaster: str = key("postmaster", "whom reports name for help: an address, or a local part of ours")
    return_bytes: int = key(262_144, "size up to which a message is returned whole to who asks for it", low=0)


@dataclass(frozen=True, slots=True)
class DkimConfig:
    """[dkim]"""

    sign: bool = key(True, "sign outgoing mail of domains that have an active key")
    headers: list[str] = key([], "further header fields to sign")
    retire_days: int = key(14, "how long the record of a replaced key is to stay in the DNS", low=1, high=365)


@dataclass(frozen=True, slots=True)
class ChecksConfig:
    """[checks]"""

    exempt: list[str] = key(["127.0.0.0/8", "::1"], "networks whose mail is taken unchecked: this machine, your relays")
    lookups: int = key(100, "DNS lookups that the checks of one message may make", low=10, high=1000)
    seconds: int = key(20, "how long they may wait for the DNS in all", low=1, high=300)
    signatures: int = key(10, "DKIM signatures of one message that are verified", low=1, high=50)


@dataclass(frozen=True, slots=True)
class SpfConfig:
    """[spf]"""

    fail: str = key("dmarc", "refuse what fails: if there is no DMARC record, or always", choices=("dmarc", "reject"))


@dataclass(frozen=True, slots=True)
class ArcConfig:
    """[arc]"""

    trusted: list[str] = key([], "domains of forwarders and lists whose word counts when their changes break DMARC")


@dataclass(frozen=True, slots=True)
class DmarcConfig:
    """[dmarc]"""

    report: bool = key(False, "send aggregate reports to the domains that ask for them")
    organization: str = key("", "who reports, in words; default: hostname")
    contact: str = key("postmaster", "who sends and answers for reports: an address, or a local part of ours")


@dataclass(frozen=True, slots=True)
class GreylistConfig:
    """[greylist]"""

    enabled: bool = key(False, "ask unknown senders to come back")
    delay_seconds: int = key(300, "when they may come back", low=1, high=86_400)
    window_seconds: int = key(172_800, "until when they must have come back", low=60, high=MAX_WAIT)
    keep_days: int = key(36, "how long those are known that came back or passed DMARC", low=1, high=365)


@dataclass(frozen=True, slots=True)
class DnsblConfig:
    """[dnsbl]"""

    zones: list[str] = key([], "lists of bad addresses: zone, or zone=127.0.0.2,127.0.0.4 for some answers only")
    allow_zones: list[str] = key([], "lists of good addresses, written the same: neither zones nor greylisting apply")


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """[filter]"""

    rspamd: str = key("", "URL of an rspamd worker, such as http://127.0.0.1:11333")
    milter: str = key("", "a milter: inet:host:port or unix:/path")
    password: str = key("", "rspamd's password", secret=True)
    timeout_seconds: int = key(30, "how long its answer is waited for", low=1, high=300)
    size_bytes: int = key(10_000_000, "messages with more octets are not shown to it", low=1024)
    on_failure: str = key("accept", "what becomes of mail without its answer", choices=("accept", "defer"))


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. `source` is the path it was read from, for messages."""

    hostname: str = key(REQUIRED, "the server's own full domain name")
    data_dir: str = key(REQUIRED, "absolute directory of everything that is stored")
    drop_dir: str = key("", "absolute directory where sendmail(8) of other users leaves messages; empty: none")
    domains: list[str] = key([], "the domains whose mail is delivered here")
    recipient_delimiter: str = key("+", "characters that separate user from detail in user+detail; empty: none")
    aliases: dict[str, list[str]] = key({}, "address -> account names and addresses it stands for (a string or a list)")
    domain_aliases: dict[str, str] = key({}, "domain -> one of domains that it is another name of")
    catch_all: dict[str, str] = key({}, "domain -> account or address that gets mail for unknown users")
    accounts: list[AccountConfig] = key([], "who has a mailbox")
    quotas: list[QuotaConfig] = key([], "what accounts of a domain may store")
    listeners: list[ListenerConfig] = key([], "where the server listens")
    tls: TlsConfig = key(TlsConfig(), "certificates")
    limits: LimitsConfig = key(LimitsConfig(), "bounds")
    bans: BansConfig = key(BansConfig(), "failed logins")
    privileges: PrivilegesConfig = key(PrivilegesConfig(), "user and group of the workers when started as root")
    log: LogConfig = key(LogConfig(), "log and decision record")
    dns: DnsConfig = key(DnsConfig(), "name resolution")
    queue: QueueConfig = key(QueueConfig(), "when and how mail for other servers is sent")
    routes: list[RouteConfig] = key([], "next hops other than MX hosts, the first that fits")
    srs_secret: str = key("", "secret of rewritten senders of forwarded mail; none: no rewriting", secret=True)
    reports: ReportsConfig = key(ReportsConfig(), "reports to senders")
    dkim: DkimConfig = key(DkimConfig(), "signatures")
    checks: ChecksConfig = key(ChecksConfig(), "how mail from elsewhere is checked")
    spf: SpfConfig = key(SpfConfig(), "SPF")
    arc: ArcConfig = key(ArcConfig(), "ARC")
    dmarc: DmarcConfig = key(DmarcConfig(), "DMARC")
    greylist: GreylistConfig = key(GreylistConfig(), "greylisting")
    dnsbl: DnsblConfig = key(DnsblConfig(), "DNS lists")
    filter: FilterConfig = key(FilterConfig(), "a content filter")
    source: str = field(default="", metadata={"internal": True})


DEFAULT_PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "lmtp": 24, "imap": 143, "imaps": 993}
