"""Which content filter a configuration asks for.

Both kinds are loaded whichever is meant: a worker that has dropped its privileges may not reach its own library any
more, and a process that has not been asked for a filter loses nothing but a little memory that all of them share.

Diagnostics: raises nothing.
"""

from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import Resolver
from mailsrv.config.schema import FilterConfig
from mailsrv.receive.filter import ContentFilter, GuardedFilter
from mailsrv.receive.milter import Milter
from mailsrv.receive.rspamd import Rspamd


def make_filter(config: FilterConfig, clock: Clock, resolver: Resolver | None = None) -> ContentFilter | None:
    """The filter that the configuration names, None when it names none. `resolver` finds the address of a filter that
    is named by a host name other than localhost."""
    if config.rspamd:
        return GuardedFilter(Rspamd(config, clock, resolver), config)
    if config.milter:
        return GuardedFilter(Milter(config, clock, resolver), config)
    return None
