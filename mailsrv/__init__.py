"""mailsrv: a self-hosted mail server in the style of the classic Unix MTAs; see mailsrv(7)."""

__version__ = "0.1.0"
