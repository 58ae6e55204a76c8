"""How mailsrv is packaged: the package, its commands and its man pages."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

INSTALL_REQUIRES = [
    # DNS with TCP fallback, EDNS and DNSSEC flags; the standard library only looks up hosts. Door: mailsrv/system/dns.
    "dnspython",
    # X.509 and keys, which `ssl` uses but does not show. Doors: mailsrv/system/tls, authn/keys, transport/dane.
    "cryptography",
    # Password hashes that are slow on graphics cards as well (RFC 9106). Door: mailsrv/directory/passwords.
    "argon2-cffi",
    # SPF evaluation (RFC 7208), the reference implementation with its test suite. Door: mailsrv/authn/spf.
    "pyspf",
]

TEST_REQUIRES = [
    "pytest",
    "hypothesis",
    "ruff",
    "mypy",
    # Reads the test suite of RFC 7208, which comes as YAML (tests/cases/authn/test_rfc7208_suite).
    "PyYAML",
    # The client library that reads every answer of IMAP: tests/peers/test_imap_imapclient.
    "IMAPClient",
    # The other opinion on DKIM and ARC (RFC 6376, 8463, 8617). It is not used at run time, where it would want whole
    # messages in memory, a budget of its own, and RSA in Python's integers: see mailsrv/authn/verify.
    "dkimpy[ed25519]",
]


def read_version():
    """The version as mailsrv/__init__.py states it, read without importing the package."""
    text = (HERE / "mailsrv" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[1]


def find_man_pages():
    """Pairs of install directory and man pages: man/mailsrv.8 goes to share/man/man8."""
    sections = {}
    for page in sorted((HERE / "man").glob("*.[1-8]")):
        sections.setdefault(f"share/man/man{page.suffix[1:]}", []).append(f"man/{page.name}")
    return sorted(sections.items())


setup(
    name="mailsrv",
    version=read_version(),
    description="A self-hosted, headless mail server in the style of the classic Unix MTAs",
    long_description=(HERE / "README").read_text(encoding="utf-8"),
    long_description_content_type="text/plain",
    python_requires=">=3.11",
    # Named, so that an editable install is one path in a .pth file, not an import hook: commands start faster.
    package_dir={"": "."},
    packages=find_packages(include=["mailsrv", "mailsrv.*"]),
    package_data={"mailsrv.deliver": ["templates/*.txt"]},
    scripts=["bin/mailsrv", "bin/mailq", "bin/mailrun", "bin/sendmail"],
    data_files=find_man_pages(),
    install_requires=INSTALL_REQUIRES,
    extras_require={"test": TEST_REQUIRES},
    zip_safe=False,
)
