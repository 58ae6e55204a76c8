"""Every directory NN-name here is one configuration: `mailsrv.toml`, and in `expected` exactly what is complained
about.

`${CERTS}` has pairs made for the run (one, two, and open, whose key everybody may read); a file `mode` gives the
permissions. An empty `expected` means that the configuration is valid.
"""

from pathlib import Path

import pytest

from mailsrv.config.load import load
from mailsrv.errors import ConfigError
from mailsrv.system.tls import make_self_signed

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/mailsrv.toml"))
ENVIRON = {
    "NAME": "name",
    "INJECTION": 'mail.example.org"\ndomains = ["example.com"]\n',
    "ALICE_HASH": "$argon2id$v=19$m=19456,t=2,p=1$7Ewae3ylPuz6JNqIl3NIMw$6QpvObFsrdhJJvYNkEtxzwogVu86eRBQI/Nfom3+5Gk",
    "ALICE_SCRAM": "SCRAM-SHA-256$4096:jzucLKSDfv/YIaiZLQIHhg==$flLAQe0dmnW69g6Tf+HgkO1xZyljgh1j+OwFTm2y8SA="
    ":7HSrWuGQOMP7NJe54JAwCaAwrV3eMFECAwdcSibYF/Q=",
}


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("certs")
    for name in ("one", "two", "open"):
        (top / name).mkdir()
        make_self_signed(str(top / name), [f"{name}.example.org"])
    (top / "open" / "key.pem").chmod(0o644)
    return top


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_complaints(case: Path, certs: Path, tmp_path: Path) -> None:
    mode = case / "mode"
    copy = tmp_path / "mailsrv.toml"
    copy.write_bytes((case / "mailsrv.toml").read_bytes())
    copy.chmod(int(mode.read_text(), 8) if mode.exists() else 0o600)
    try:
        load(str(copy), {**ENVIRON, "CERTS": str(certs)})
        complaints = []
    except ConfigError as error:
        complaints = error.complaints
    text = "".join(f"{line}\n" for line in complaints)
    said = text.replace(f"{tmp_path}/", "").replace(str(certs), "CERTS")
    assert said == (case / "expected").read_text(encoding="utf-8")


def test_good_ones_are_named_so() -> None:
    good = {case.name for case in CASES if not (case / "expected").read_text(encoding="utf-8")}
    assert good == {case.name for case in CASES if "-good-" in case.name}
