"""Checks of how mail from elsewhere is judged: [checks], [arc], [dmarc], [greylist], [dnsbl] and [filter].

Names of lists and filters are judged by their form; nothing is looked up and nobody is asked.

Diagnostics: raises nothing; complaints and warnings only.
"""

import re
from urllib.parse import urlsplit

from mailsrv.errors import GrammarError
from mailsrv.mail.address import parse_address
from mailsrv.config.check_domains import explain_domain
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.schema import Config
from mailsrv.config.zones import parse_zone

_MILTER = re.compile(r"inet:[^:\s]+:[0-9]{1,5}|inet:\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}|unix:/\S+")
_MAX_PORT = 65535


def check_sealers(config: Config, complaints: Complaints) -> None:
    """arc.trusted: domains."""
    for at, domain in enumerate(config.arc.trusted):
        path: KeyPath = ("arc", "trusted", at)
        if not complaints.hit(path) and (reason := explain_domain(domain)):
            complaints.add(path, f'"{domain}": {reason}')


def check_contact(config: Config, complaints: Complaints) -> None:
    """dmarc.contact: an address, or a local part; dmarc.organization: text for a header."""
    path: KeyPath = ("dmarc", "contact")
    text = config.dmarc.contact
    if not complaints.hit(path):
        try:
            parse_address(text if "@" in text else f"{text}@example.org")
        except GrammarError as error:
            complaints.add(path, f'"{text}": {error}, must be an address or a local part')
    if not config.dmarc.organization.isprintable() and not complaints.hit(("dmarc", "organization")):
        complaints.add(("dmarc", "organization"), "has characters that cannot be printed, must be one line of text")


def check_greylist(config: Config, complaints: Complaints) -> None:
    """There is time to come back."""
    greylist = config.greylist
    path: KeyPath = ("greylist", "window_seconds")
    if greylist.window_seconds <= greylist.delay_seconds and not complaints.hit(("greylist",)):
        if not complaints.hit(path) and not complaints.hit(("greylist", "delay_seconds")):
            complaints.add(path, f"is not after delay_seconds ({greylist.delay_seconds}), must be more")


def check_zones(config: Config, complaints: Complaints) -> None:
    """dnsbl.zones and allow_zones, each a zone of its own."""
    for key, zones in (("zones", config.dnsbl.zones), ("allow_zones", config.dnsbl.allow_zones)):
        for at, zone in enumerate(zones):
            path: KeyPath = ("dnsbl", key, at)
            if complaints.hit(path):
                continue
            try:
                parse_zone(zone)
            except GrammarError as error:
                complaints.add(path, f'"{zone}": {error}')


def check_filter(config: Config, complaints: Complaints) -> None:
    """At most one filter, and where it is."""
    path: KeyPath = ("filter",)
    asked = config.filter
    if complaints.hit(path):
        return
    if asked.rspamd and asked.milter and not complaints.hit((*path, "milter")):
        complaints.add((*path, "milter"), "is given beside rspamd, must be one of them")
    if asked.rspamd and not complaints.hit((*path, "rspamd")) and not _is_url(asked.rspamd):
        text = f'"{asked.rspamd}" is no such URL, must be like http://127.0.0.1:11333'
        complaints.add((*path, "rspamd"), text)
    if asked.milter and not complaints.hit((*path, "milter")) and not _is_milter(asked.milter):
        text = f'"{asked.milter}" is no milter, must be like inet:127.0.0.1:11332 or unix:/run/milter.sock'
        complaints.add((*path, "milter"), text)


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    plain = text.isprintable() and " " not in text and "?" not in text and "#" not in text
    return url.scheme == "http" and bool(url.hostname) and port != 0 and plain


def _is_milter(text: str) -> bool:
    if not _MILTER.fullmatch(text):
        return False
    return text.startswith("unix:") or 0 < int(text.rpartition(":")[2]) <= _MAX_PORT
