"""LOGIN: two questions, name and password, for clients that know nothing better (no RFC; the draft
draft-murchison-sasl-login).

An initial response is taken for the name, as clients in the field send it. Only to be offered inside TLS.

Diagnostics: raises nothing; gives Failed.
"""

from mailsrv.sasl.mechanism import Challenge, Failed, Step
from mailsrv.sasl.plain import check_credentials

# Some clients compare these texts.
_ASK_NAME = Challenge(b"Username:")
_ASK_PASSWORD = Challenge(b"Password:")


class Login:
    """One exchange."""

    def __init__(self) -> None:
        self._name: bytes | None = None

    def start(self, initial: bytes | None) -> Step:
        """Ask for the name, or take it."""
        return _ASK_NAME if not initial else self.step(initial)

    def step(self, response: bytes) -> Step:
        """Take the name, then the password. A NUL would be cut off by programs in C: it is refused."""
        if self._name is None:
            self._name = response
            return _ASK_PASSWORD
        try:
            name, password = self._name.decode(), response.decode()
        except UnicodeDecodeError:
            return Failed("not UTF-8")
        return check_credentials("", name, password)
