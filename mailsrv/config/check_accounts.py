"""Checks of [[accounts]] and [[quotas]]: names, addresses and the two forms in which a password is kept.

Hashes are only parsed here (RFC 9106 and the PHC string form; RFC 5803 and RFC 7677 for SCRAM), never computed.

Diagnostics: raises nothing; complaints only.
"""

import base64
import binascii
import re

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_key, parse_address
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.schema import AccountConfig, Config

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PHC = re.compile(r"\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,10})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_SCRAM = re.compile(r"SCRAM-SHA-256\$(\d{1,10}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")

# A login must not be able to cost a gigabyte or minutes, even by the operator's mistake.
MAX_MEMORY_KIB = 1_048_576
MAX_PASSES = 64
MAX_LANES = 64

# SCRAM shows this number before it knows the password: an account with another one than that of accounts which do not
# exist (mailsrv.sasl.scram, the same by test_check_accounts) would be told apart from them.
ITERATIONS = 4096


def check_accounts(config: Config, complaints: Complaints) -> None:
    """Every account by itself, then what two of them must not share."""
    names: set[str] = set()
    owners: dict[str, str] = {}
    # None: what the domains are is not known, because the list itself is faulty.
    domains = None if complaints.hit(("domains",)) else {domain_key(domain) for domain in config.domains}
    for index, account in enumerate(config.accounts):
        path: KeyPath = ("accounts", index)
        if complaints.hit(path):
            continue
        _check_name(account, path, names, complaints)
        for at in range(len(account.addresses)):
            _check_address(account, (*path, "addresses", at), domains, owners, complaints)
        if not account.addresses and not complaints.hit((*path, "addresses")):
            complaints.add((*path, "addresses"), "is empty, an account needs at least one address")
        for key, explain in (("password_hash", explain_hash), ("scram_sha_256", explain_scram)):
            text = getattr(account, key)
            if text and not complaints.hit((*path, key)) and (reason := explain(text)):
                complaints.add((*path, key), f"{reason}, make it with mailsrv passwd")


def check_quotas(config: Config, complaints: Complaints) -> None:
    """Every domain is one of ours, and there once."""
    domains = {domain_key(domain) for domain in config.domains}
    seen: set[str] = set()
    for index, row in enumerate(config.quotas):
        for at, text in enumerate(row.domains):
            path: KeyPath = ("quotas", index, "domains", at)
            domain = domain_key(text)
            if complaints.hit(path) or complaints.hit(("quotas", index)):
                continue
            if domain not in domains and not complaints.hit(("domains",)):
                complaints.add(path, f'"{text}" is not one of domains, add it there or correct it')
            elif domain in seen:
                complaints.add(path, f'"{text}" is there twice, remove one of them')
            seen.add(domain)


def _check_name(account: AccountConfig, path: KeyPath, names: set[str], complaints: Complaints) -> None:
    path = (*path, "name")
    if complaints.hit(path):
        return
    if not _NAME.fullmatch(account.name):
        right = "1 to 64 of a-z 0-9 - _ . beginning with a letter or digit"
        complaints.add(path, f'"{account.name}" cannot be a directory\'s name here, must be {right}')
    elif account.name in names:
        complaints.add(path, f'"{account.name}" is there twice, give the accounts different names')
    names.add(account.name)


def _check_address(
    account: AccountConfig, path: KeyPath, domains: set[str] | None, owners: dict[str, str], complaints: Complaints
) -> None:
    if complaints.hit(path) or not isinstance(path[-1], int):
        return
    text = account.addresses[path[-1]]
    try:
        address = parse_address(text)
    except GrammarError as error:
        complaints.add(path, f'"{text}": {error}, must be like {account.name or "user"}@example.org')
        return
    if domains is not None and domain_key(address.domain) not in domains:
        right = "remove it" if address.is_literal else f"add {address.domain} to domains or remove the address"
        complaints.add(path, f'"{text}" is outside domains, {right}')
    elif address.key in owners:
        owner = owners[address.key]
        right = f"belongs to the account {owner} already, an address has one owner (use [aliases] for several)"
        if owner == account.name:
            right = "is there twice (case does not count), remove one"
        complaints.add(path, f'"{text}" {right}')
    owners.setdefault(address.key, account.name)


def explain_hash(text: str) -> str:
    """Why a text is no argon2id hash that a login may be checked with ("" when it is one). RFC 9106 section 3.1."""
    found = _PHC.fullmatch(text)
    if found is None:
        form = "$argon2id$v=19$m=19456,t=2,p=1$salt$hash"
        kind = re.match(r"\$(argon2[id]|2[aby]|[156y])\$", text)
        what = "is a hash of another kind" if kind else "is no argon2id hash"
        return f"{what}, must have the form {form}"
    memory, passes, lanes = (int(found[group]) for group in (1, 2, 3))
    if not (1 <= lanes <= MAX_LANES and 1 <= passes <= MAX_PASSES and 8 * lanes <= memory <= MAX_MEMORY_KIB):
        return f"has a cost out of bounds, m must be 8*p to {MAX_MEMORY_KIB}, t 1 to {MAX_PASSES}, p 1 to {MAX_LANES}"
    salt, digest = (_decode(found[group] + "=" * (-len(found[group]) % 4)) for group in (4, 5))
    if salt is None or digest is None or len(salt) < 8 or len(digest) < 16:
        return "is cut off or damaged, salt and hash must be base64 of at least 8 and 16 octets"
    return ""


def explain_scram(text: str) -> str:
    """Why a text is no SCRAM-SHA-256 key ("" when it is one). RFC 5803 section 3, RFC 7677 section 4."""
    found = _SCRAM.fullmatch(text)
    if found is None:
        return "is no SCRAM key, must have the form SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey"
    if int(found[1]) != ITERATIONS:
        return f"has {found[1]} iterations, must have {ITERATIONS}, as accounts that do not exist seem to have"
    salt, stored_key, server_key = (_decode(found[group]) for group in (2, 3, 4))
    if not salt or stored_key is None or server_key is None or len(stored_key) != 32 or len(server_key) != 32:
        return "is cut off or damaged, both keys must be base64 of 32 octets"
    return ""


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
