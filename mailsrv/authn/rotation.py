"""The life of a DKIM key: next, active, retiring, gone; what moves it on, and what the postmaster has to do meanwhile.

A key signs only after public DNS has shown its record, and its record stays until mail that it signed has arrived
everywhere, so that a rotation never makes a signature fail. The table STEPS is all there is; nothing here looks at the
DNS, the clock or a file.

Diagnostics: raises nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from mailsrv.authn.keys import Algorithm, record_name

KEEP_SECONDS = 14 * 86400  # a queued message is given up after 5 days, and its receiver may verify it later


class State(Enum):
    """Where a key is in its life."""

    NEXT = "next"  # made; its record is to be published
    ACTIVE = "active"  # signs
    RETIRING = "retiring"  # signs no more; mail that it signed is still on its way
    GONE = "gone"  # deleted; its record can be removed


class Happening(Enum):
    """What moves a key on."""

    SHOWN = "DNS shows its record"
    REPLACED = "another key of its algorithm has become active"
    AGED = "what it signed has arrived or was given up"
    REMOVED = "DNS shows its record no more"


class Sight(Enum):
    """What the DNS says of a key's record."""

    SHOWN = "yes"
    ABSENT = "no"
    OTHER = "another record"
    UNKNOWN = "no answer"


# What becomes of a key; a pair that is not here changes nothing, None is the end.
STEPS: dict[tuple[State, Happening], State | None] = {
    (State.NEXT, Happening.SHOWN): State.ACTIVE,
    (State.ACTIVE, Happening.REPLACED): State.RETIRING,
    (State.RETIRING, Happening.AGED): State.GONE,
    (State.GONE, Happening.REMOVED): None,
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a domain: `since` is when it came into its state (seconds since the epoch), `record` its TXT text."""

    selector: str
    algorithm: Algorithm
    state: State
    since: int
    record: str


@dataclass(frozen=True, slots=True)
class Change:
    """One step: the key as it was, its new state (None: forgotten), and why."""

    key: Key
    state: State | None
    why: Happening


def advance(
    keys: Sequence[Key], sights: Mapping[str, Sight], now: float, keep: float = KEEP_SECONDS
) -> tuple[tuple[Key, ...], list[Change]]:
    """Every key moved on by what DNS shows (`sights`, by selector) and by time, and what has changed.

    A key makes at most one step. `keep` is how many seconds a retiring key keeps its record.
    """
    changes: dict[str, Change] = {}

    def happen(key: Key, happening: Happening) -> None:
        if key.selector not in changes and (key.state, happening) in STEPS:
            changes[key.selector] = Change(key, STEPS[key.state, happening], happening)

    for key in keys:
        for happening in _happenings(key, sights.get(key.selector, Sight.UNKNOWN), now, keep):
            happen(key, happening)
    for algorithm in {change.key.algorithm for change in changes.values() if change.state is State.ACTIVE}:
        for key in keys:
            if key.algorithm is algorithm:
                happen(key, Happening.REPLACED)
    return tuple(_apply(keys, changes, now)), list(changes.values())


def _happenings(key: Key, sight: Sight, now: float, keep: float) -> Iterator[Happening]:
    if sight is Sight.SHOWN:
        yield Happening.SHOWN
    elif sight in (Sight.ABSENT, Sight.OTHER):
        yield Happening.REMOVED
    if now - key.since >= keep:
        yield Happening.AGED


def _apply(keys: Sequence[Key], changes: Mapping[str, Change], now: float) -> Iterator[Key]:
    for key in keys:
        change = changes.get(key.selector)
        if change is None:
            yield key
        elif change.state is not None:
            yield replace(key, state=change.state, since=int(now))


# What is to be done about a key: by its state and by what DNS says; {name} is its record's name, {until} a date.
_PUBLISH = "publish {name}, then `mailsrv dkim rotate`"
_REPAIR = "signatures fail: publish {name} again"
_WRONG = "signatures fail: {name} must be this key's record and no other"
_ADVICE = {
    (State.NEXT, Sight.SHOWN): "`mailsrv dkim rotate` makes it active",
    (State.NEXT, Sight.ABSENT): _PUBLISH,
    (State.NEXT, Sight.OTHER): "{name} must be this key's record and no other",
    (State.NEXT, Sight.UNKNOWN): "ask again when the DNS answers",
    (State.ACTIVE, Sight.SHOWN): "nothing",
    (State.ACTIVE, Sight.ABSENT): _REPAIR,
    (State.ACTIVE, Sight.OTHER): _WRONG,
    (State.ACTIVE, Sight.UNKNOWN): "ask again when the DNS answers",
    (State.RETIRING, Sight.SHOWN): "keep {name} until {until}",
    (State.RETIRING, Sight.ABSENT): "mail on its way fails: keep {name} until {until}",
    (State.RETIRING, Sight.OTHER): "mail on its way fails: keep {name} until {until}",
    (State.RETIRING, Sight.UNKNOWN): "keep {name} until {until}",
    (State.GONE, Sight.SHOWN): "remove {name} from the DNS",
    (State.GONE, Sight.ABSENT): "nothing",
    (State.GONE, Sight.OTHER): "nothing",
    (State.GONE, Sight.UNKNOWN): "remove {name} from the DNS",
}


def advise(key: Key, sight: Sight, domain: str, until: str) -> str:
    """What the postmaster is to do about a key of `domain`; `until` is the day when a retiring key's time is over."""
    return _ADVICE[key.state, sight].format(name=record_name(key.selector, domain), until=until)


def endangers_mail(key: Key, sight: Sight) -> bool:
    """Whether signatures fail for want of the record."""
    return key.state in (State.ACTIVE, State.RETIRING) and sight in (Sight.ABSENT, Sight.OTHER)
