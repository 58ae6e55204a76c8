"""PLAIN: authorization identity, login name and password in one message (RFC 4616). Only to be offered inside TLS.

Diagnostics: raises nothing; gives Failed.
"""

from mailsrv.errors import GrammarError
from mailsrv.sasl.mechanism import Challenge, Credentials, Failed, Step
from mailsrv.sasl.saslprep import prepare


class Plain:
    """One exchange."""

    def start(self, initial: bytes | None) -> Step:
        """The initial response is the whole exchange."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, response: bytes) -> Step:
        """Read `[authzid] NUL authcid NUL password`. Acting for somebody else is not possible here."""
        try:
            fields = response.decode().split("\0")
        except UnicodeDecodeError:
            return Failed("not UTF-8")
        if len(fields) != 3:
            return Failed("not three fields")
        authzid, authcid, password = fields
        return check_credentials(authzid, authcid, password)


def check_credentials(authzid: str, authcid: str, password: str) -> Step:
    """Prepare what a client claims; refuse what cannot be right (RFC 4616 section 2)."""
    try:
        authzid, authcid, password = prepare(authzid), prepare(authcid), prepare(password)
    except GrammarError as error:
        return Failed(f"name or password has {error}")
    if not authcid or not password:
        return Failed("name or password is empty", authcid)
    if authzid not in ("", authcid):
        return Failed("acting for another account is not possible", authcid)
    return Credentials(authzid, authcid, password)
