"""The arguments of sendmail(8), as programs have given them for decades; what no longer means anything is taken and
ignored.

Letters may be joined (`-ti`), values may follow at once or as the next argument; `--` ends the options.

Diagnostics: UsageError.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailsrv.errors import MailsrvError

_NOTIFY = {"never": "NEVER", "success": "SUCCESS", "failure": "FAILURE", "delay": "DELAY"}
_RETS = {"full": "FULL", "hdrs": "HDRS"}


class UsageError(MailsrvError):
    """Arguments that mean nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `mode`: m send a message, s speak SMTP, p show the queue, q run it, i nothing (aliases)."""

    mode: str = "m"
    recipients: tuple[str, ...] = ()
    from_header: bool = False
    ignore_dots: bool = False
    sender: str = ""
    full_name: str = ""
    notify: tuple[str, ...] = ()
    ret: str = ""
    envid: str = ""
    config: str = ""
    verbose: bool = False


# Letters without a value, those with one, and those whose value only stands at once behind them.
_FLAGS = "tivnmUGsw"
_VALUES = "BCFLNORVXfhrpaA"
_JOINED = "obdq"


def read_options(given: Sequence[str]) -> Options:
    """Read them all."""
    options = Options()
    rest = list(given)
    recipients: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            recipients += rest
            break
        if not word.startswith("-") or word == "-":
            recipients.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _FLAGS:
                options = _set(options, letter, "")
                continue
            if letter not in _VALUES + _JOINED:
                raise UsageError(f"there is no option -{letter}; see sendmail(8)")
            if not letters and (letter in _VALUES or (letter in "ob" and rest)):
                if not rest:
                    raise UsageError(f"-{letter} needs a value")
                letters = rest.pop(0)
                options = _set(options, letter, letters)
            else:
                options = _set(options, letter, letters)
            letters = ""
    return replace(options, recipients=tuple(recipients))


def _set(options: Options, letter: str, value: str) -> Options:
    match letter:
        case "t":
            return replace(options, from_header=True)
        case "i":
            return replace(options, ignore_dots=True)
        case "v":
            return replace(options, verbose=True)
        case "f" | "r":
            return replace(options, sender=_read_sender(value))
        case "F":
            return replace(options, full_name=value)
        case "C":
            return replace(options, config=value)
        case "N":
            return replace(options, notify=_read_notify(value))
        case "R":
            if value.lower() not in _RETS:
                raise UsageError(f"-R {value}: must be full or hdrs")
            return replace(options, ret=_RETS[value.lower()])
        case "V":
            return replace(options, envid=value)
        case "q":
            return replace(options, mode="q")
        case "b":
            return replace(options, mode=_read_mode(value))
        case "o":
            return replace(options, ignore_dots=options.ignore_dots or value.split("=")[0] == "i")
    return options


def _read_sender(value: str) -> str:
    """`<a@b>` is `a@b`; an empty one is the null reverse-path."""
    inner = value.strip().removeprefix("<").removesuffix(">")
    return inner or "<>"


def _read_notify(value: str) -> tuple[str, ...]:
    words = [word.strip().lower() for word in value.split(",")]
    if any(word not in _NOTIFY for word in words) or ("never" in words and len(words) > 1):
        raise UsageError(f"-N {value}: must be never, or some of success,failure,delay")
    return tuple(dict.fromkeys(_NOTIFY[word] for word in words))


def _read_mode(value: str) -> str:
    if value not in ("m", "s", "p", "i"):
        raise UsageError(f"-b{value} is nothing that this sendmail does; see sendmail(8)")
    return value
