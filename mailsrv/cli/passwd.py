"""`mailsrv passwd`: the two forms in which a password is kept, as lines for an [[accounts]] table.

The password comes from the terminal, asked for twice, or is one line of standard input; never an argument, which other
users could see. Nothing is stored.

Diagnostics: `run` raises GrammarError for what cannot be a password; it gives 1 when the two entries differ.
"""

import argparse
import getpass
import sys

from mailsrv.errors import Exit, GrammarError
from mailsrv.system import entropy
from mailsrv.sasl.scram import SALT_OCTETS, derive, format_key
from mailsrv.directory.passwords import hash_password, prepare_password


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None: the password must not be one."""


def run(_arguments: argparse.Namespace) -> int:
    """Print `password_hash = ...` and `scram_sha_256 = ...` on standard output."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            print("mailsrv: the two entries differ; nothing was made", file=sys.stderr)
            return Exit.FAILED
    else:
        password = _read_line()
    prepared = prepare_password(password)
    key = derive(prepared, entropy.octets(SALT_OCTETS))
    print(f'password_hash = "{hash_password(prepared)}"')
    print(f'scram_sha_256 = "{format_key(key)}"')
    return Exit.OK


def _read_line() -> str:
    """One line of standard input without its end."""
    try:
        return sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise GrammarError("the password is not UTF-8 text") from None
