"""Services that go wrong in the ways a supervisor must survive."""

import os

from mailsrv.errors import ConfigError
from mailsrv.serve import smtpd


def refuse(context):
    """Cannot work with this configuration."""
    raise ConfigError(["mailsrv.toml:1: tls: this worker does not like it"])


def refuse_later(context):
    """Works until the configuration says `hostname = "bad..."`."""
    if context.config.hostname.startswith("bad"):
        raise ConfigError(["mailsrv.toml:1: hostname: is bad"])
    return smtpd.build(context)


def die(context):
    """A bug at the start."""
    os._exit(1)
