"""Checks of [[listeners]] and [tls]: each can be bound beside the others, none asks for passwords in the clear.

The files of certificates are read and proven through the TLS door; no socket is made.

Diagnostics: raises nothing; complaints and warnings only.
"""

import ipaddress
import os
import stat

from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.schema import Config, ListenerConfig

_SOCKET_PATH = 107  # octets of a unix socket's path with its final NUL less one, unix(7)

_CLEAR = ("submission", "imap")  # clients log in, TLS begins with STARTTLS
_IN_TLS = ("submissions", "imaps")


def check_listeners(config: Config, complaints: Complaints) -> None:
    """Every listener by itself, then its place against those before it."""
    has_tls = bool(config.tls.cert_file) or complaints.hit(("tls",)) or complaints.hit(("tls", "cert_file"))
    can_log_in = any(account.password_hash or account.scram_sha_256 for account in config.accounts)
    places: list[tuple[str, int]] = []
    for index, listener in enumerate(config.listeners):
        path: KeyPath = ("listeners", index)
        if complaints.hit(path):
            continue
        _check_place(listener, path, places, complaints)
        if not complaints.hit((*path, "kind")):
            _check_encryption(listener, path, has_tls, complaints)
            if listener.kind in (*_CLEAR, *_IN_TLS) and not can_log_in:
                complaints.warn((*path, "kind"), "no account has a password, nobody can log in (see mailsrv passwd)")


def _check_place(
    listener: ListenerConfig, path: KeyPath, places: list[tuple[str, int]], complaints: Complaints
) -> None:
    """An address and port, or for lmtp a path, that no listener before it has."""
    addr, port = listener.addr, listener.port
    if complaints.hit((*path, "addr")) or complaints.hit((*path, "kind")):
        return
    if listener.is_unix:
        if not addr.startswith("/") or listener.kind != "lmtp":
            right = "an IP address"
            if listener.kind == "lmtp":
                right += ", or the absolute path of a unix socket"
            complaints.add((*path, "addr"), f'"{addr}" is no place to listen for {listener.kind}, must be {right}')
            return
        if len(os.fsencode(addr)) > _SOCKET_PATH or "\0" in addr:
            complaints.add((*path, "addr"), f"is no path of a unix socket, at most {_SOCKET_PATH} octets without NUL")
        if port:
            complaints.add((*path, "port"), "is given for a unix socket, remove it")
        if listener.proxy_from:
            complaints.add((*path, "proxy_from"), "is given for a unix socket, where clients have no network")
        addr, port = os.path.normpath(addr), 0
    elif not complaints.hit((*path, "port")):
        addr, port = str(ipaddress.ip_address(addr)), listener.effective_port
        if listener.kind == "lmtp" and port == 25:
            complaints.add((*path, "port"), "is 25, LMTP must have another one (RFC 2033 section 5)")
    else:
        return
    if any(_overlap((addr, port), other) for other in places):
        # The key that stands in the file: a port by default has no line of its own.
        where = addr if listener.is_unix else f"{addr} port {port}"
        complaints.add((*path, "port" if port else "addr"), f"{where} is taken by a listener above, give another")
    places.append((addr, port))


def _overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two places cannot be bound together: the same, or one of them is the wildcard of its family."""
    if one[1] != other[1]:
        return False
    if one[0] == other[0]:
        return True
    wildcard = "::" if ":" in one[0] else "0.0.0.0"
    return (":" in one[0]) == (":" in other[0]) and wildcard in (one[0], other[0])


def _check_encryption(listener: ListenerConfig, path: KeyPath, has_tls: bool, complaints: Complaints) -> None:
    """Passwords only inside TLS, or on loopback where that is said explicitly (RFC 8314 section 3.3)."""
    kind = listener.kind
    if kind in _IN_TLS and not has_tls:
        complaints.add((*path, "kind"), f"{kind} is TLS from its first octet, give [tls] cert_file and key_file")
    if kind in _CLEAR and not has_tls and not listener.without_tls:
        right = "give [tls] cert_file and key_file, or without_tls = true on a loopback addr"
        complaints.add((*path, "kind"), f"{kind} without TLS lets nobody log in, {right}")
    if listener.without_tls and kind not in _CLEAR:
        text = f"means nothing for {kind}, remove it (it is for {' and '.join(_CLEAR)})"
        complaints.add((*path, "without_tls"), text)
    elif listener.without_tls and not listener.is_loopback and not complaints.hit((*path, "addr")):
        complaints.add((*path, "without_tls"), f"would send passwords readable to {listener.addr}, only loopback may")
    if listener.kind == "smtp" and not has_tls and not listener.is_loopback and not complaints.hit((*path, "addr")):
        complaints.warn((*path, "kind"), "smtp without [tls], mail from other servers will come unencrypted")


def check_tls(config: Config, complaints: Complaints) -> None:
    """Every certificate with its key: named together, readable, belonging together, the key kept from others."""
    tls = config.tls
    path: KeyPath = ("tls",)
    if complaints.hit(path):
        return
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(tls, key) and not getattr(tls, other) and not complaints.hit((*path, other)):
            complaints.add((*path, key), f"is given without {other}, give both")
    if tls.certificates and not tls.cert_file and not complaints.hit((*path, "cert_file")):
        text = "are given without a default one, give tls.cert_file and tls.key_file"
        complaints.add((*path, "certificates"), text, usable=True)
    _check_pair(tls.cert_file, tls.key_file, path, complaints)
    for index, certificate in enumerate(tls.certificates):
        _check_pair(certificate.cert_file, certificate.key_file, (*path, "certificates", index), complaints)


def _check_pair(cert_file: str, key_file: str, path: KeyPath, complaints: Complaints) -> None:
    sound = bool(cert_file and key_file)
    for key, file in (("cert_file", cert_file), ("key_file", key_file)):
        if complaints.hit((*path, key)):
            sound = False
        elif file and (not file.startswith("/") or "\0" in file):
            complaints.add((*path, key), f'"{file}" is not absolute, must begin with /')
            sound = False
    if not sound:
        return
    # Reading X.509 costs a tenth of a second at the start of every command: only where there is TLS.
    from mailsrv.system.tls import check_pair

    for reason in check_pair(cert_file, key_file):
        complaints.add((*path, "cert_file" if reason.startswith(f"{cert_file} ") else "key_file"), reason)
    try:
        mode = stat.S_IMODE(os.stat(key_file).st_mode)
    except OSError:
        return  # check_pair has said so
    if mode & 0o077:
        text = f"{key_file} can be read or changed by others (mode {mode:04o}), run chmod 600 {key_file}"
        complaints.add((*path, "key_file"), text)
