"""SPF over zones: the examples of RFC 7208 appendix A, and what we add to them.

A directory spf-NN-* holds a `zone`, to which the hosts in spf.zone are added, and `checks`: client, reverse-path (`<>`
for the null one), HELO name, result, and the mechanism that matched (`-` for none).
"""

from pathlib import Path

import pytest

from mailsrv.authn.spf import check_spf
from mailsrv.mail.address import parse_address
from tests.fakes.dns import FakeResolver

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("spf-*/checks"))
HOSTS = (HERE / "spf.zone").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_zone(case):
    ask = FakeResolver(HOSTS + (case / "zone").read_text(encoding="utf-8")).query
    for line in (case / "checks").read_text(encoding="utf-8").splitlines():
        client, path, helo, result, mechanism = line.split(" ")
        reverse_path = None if path == "<>" else parse_address(path)
        finding = check_spf(client, helo, reverse_path, ask, 0.0, "receiver.example")
        assert (line, finding.result.value, finding.mechanism or "-") == (line, result, mechanism)
        assert finding.identity == ("helo" if reverse_path is None else "mailfrom")


def test_there_are_cases():
    assert len(CASES) > 10
