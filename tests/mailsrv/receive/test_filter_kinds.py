"""Which filter is made, and that it can be made where nothing more can be loaded."""

import subprocess
import sys

from mailsrv.config.schema import FilterConfig
from mailsrv.receive.filter import GuardedFilter
from mailsrv.receive.filter_kinds import make_filter
from tests.fakes.clock import FakeClock

LOADED = """
import sys
import mailsrv.serve.house
from mailsrv.config.schema import FilterConfig
from mailsrv.receive.filter_kinds import make_filter
sys.path = []
for config in (FilterConfig(rspamd="http://127.0.0.1:1"), FilterConfig(milter="unix:/nowhere")):
    print(type(make_filter(config, None)).__name__)
"""


def test_none_is_made_of_nothing() -> None:
    assert make_filter(FilterConfig(), FakeClock()) is None
    assert isinstance(make_filter(FilterConfig(milter="unix:/nowhere"), FakeClock()), GuardedFilter)


def test_it_is_made_behind_the_drop_of_privileges() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "GuardedFilter\nGuardedFilter\n"
