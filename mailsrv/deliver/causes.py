"""From an outcome to its cause in plain words: which paragraph of deliver/templates tells the sender what happened.

The enhanced status code decides (RFC 3463 and its registry, RFC 7372, 7505); where it says nothing more than
"permanent" or "temporary", or the class of all refusals, the words of the reply do. Used for reports only: nothing is
retried or given up because of it.

Diagnostics: raises nothing; what is not known is `other`.
"""

import re

from mailsrv.mail.dsn import clean_status
from mailsrv.mail.outcome import Outcome

CANCELLED = "cancelled by the postmaster"  # how the reply of an outcome begins that `mailrun cancel` makes

# The code, then the code without its class, then its subject alone: the first row that fits.
_CODES = {
    "4.2": "busy",
    "4.3": "busy",
    "4.7": "busy",
    "5.4.1": "unknown-address",  # what a large provider answers for addresses that it does not have
    "5.4.4": "no-domain",
    ".1": "unknown-address",
    ".1.2": "no-domain",
    ".1.6": "moved",
    ".1.7": "bad-sender",
    ".1.8": "bad-sender",
    ".1.10": "no-mail",
    ".2": "disabled",
    ".2.1": "disabled",
    ".2.2": "full-mailbox",
    ".2.3": "too-large",
    ".2.4": "loop",
    ".3.4": "too-large",
    ".4": "unreachable",
    ".4.3": "dns",
    ".4.4": "dns",
    ".4.6": "loop",
    ".5": "protocol",
    ".5.3": "too-many-recipients",
    ".6": "content",
    ".6.3": "conversion",
    ".6.7": "international-address",
    ".6.8": "international-address",
    ".6.9": "international-address",
    ".6.10": "international-address",
    ".7": "blocked",
    ".7.4": "tls",
    ".7.5": "tls",
    ".7.8": "here",  # our credentials for a smarthost
    ".7.9": "here",
    ".7.10": "tls",
    ".7.11": "tls",
    ".7.20": "sender-authentication",
    ".7.21": "sender-authentication",
    ".7.22": "sender-authentication",
    ".7.23": "sender-authentication",
    ".7.24": "sender-authentication",
    ".7.25": "sender-authentication",
    ".7.26": "sender-authentication",
    ".7.27": "bad-sender",
    ".7.30": "tls",
}

# Trouble of a system that nobody but this server can have had when no host said so.
_OURS = frozenset({"4.2", "4.3", "5.3"})
# Codes that say too little; the reply's words are asked first, in this order.
_VAGUE = re.compile(r"[45]\.[0-7]\.0|5\.7\.1|5\.4\.1")
_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"\bSPF\b|\bDKIM\b|\bDMARC\b|reverse dns|\bPTR\b", "sender-authentication"),
        (r"spam|\bblock|black.?list|block.?list|reputation|\bRBL\b|\bDNSBL\b|spamhaus", "blocked"),
        (r"over.?quota|quota exceeded|mailbox (?:is )?full|insufficient storage|not enough space", "full-mailbox"),
        (r"too (?:large|big)|size (?:limit|exceeds)|exceeds.{0,30}size", "too-large"),
        (r"no such (?:user|mailbox|recipient|address)|unknown (?:user|recipient|mailbox|address)", "unknown-address"),
        (r"(?:user|recipient|mailbox|address|account).{0,60}(?:unknown|not found|not exist)", "unknown-address"),
        (r"invalid (?:recipient|mailbox|address)|mailbox unavailable|not a valid (?:user|mailbox)", "unknown-address"),
        (r"disabled|inactive|suspended", "disabled"),
        (r"grey.?list|gray.?list|try again|rate limit|too many connections", "busy"),
        (r"start ?tls|\bTLS\b|encrypt", "tls"),
        (r"too many recipients", "too-many-recipients"),
        (r"\bloop|too many hops", "loop"),
        (r"virus|malware|attachment", "content"),
        (r"timed? ?out|unreachable|refused the connection|connection (?:refused|lost|closed|reset)", "unreachable"),
    )
)


def find_cause(outcome: Outcome) -> str:
    """One of templates.CAUSES for an outcome that is failed or delayed."""
    if not outcome.host and outcome.reply.startswith(CANCELLED):
        return "cancelled"
    code = clean_status(outcome)
    if _VAGUE.fullmatch(code):
        reply = outcome.reply[:2000]
        for pattern, cause in _WORDS:
            if pattern.search(reply):
                return cause
    subject = code[: code.rindex(".")]
    found = _CODES.get(code) or _CODES.get(code[1:])
    if found is None and not outcome.host and subject in _OURS:
        return "here"
    return found or _CODES.get(subject) or _CODES.get(subject[1:]) or "other"
