"""DKIM keys on disk: data_dir/dkim/DOMAIN/SELECTOR.pem, and keys.json beside them, which says where each key is in its
life.

A private key's file is made with O_EXCL and mode 0600, synced, and never written again; keys.json is replaced as a
whole and names a key only once its file is durable. So after a crash there is at most a file that keys.json does not
name, whose selector is then taken. Directories are named after domains in A-labels.

Diagnostics: GrammarError, naming the file, for a keys.json or a key that is not what should be there; AlreadyThere for
a selector that is taken; StorageError when the disk refuses.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mailsrv.errors import AlreadyThere, GrammarError, StorageError
from mailsrv.text.record import Codec, Records, read_json, write_json
from mailsrv.system.disk import Disk, Stamp
from mailsrv.system.lock import Lock
from mailsrv.mail.address import MAX_DOMAIN, domain_to_ascii
from mailsrv.authn.dkim import SigningKey
from mailsrv.authn.keys import LETTERS, Algorithm, PrivateKey, make_private_key, parse_private_key, record_name
from mailsrv.authn.rotation import Key, State

DIRECTORY = "dkim"
KEYS_FILE = "keys.json"
VERSION = 1

_KEY_OCTETS = 65536  # more than any key has


def _one_of(kind: type[State] | type[Algorithm]) -> Codec:
    def load(text: str) -> State | Algorithm:
        try:
            return kind(text)
        except ValueError:
            raise GrammarError(f"must be one of {', '.join(one.value for one in kind)}") from None

    return Codec(lambda value: str(value.value), load)


_RECORDS = Records({State: _one_of(State), Algorithm: _one_of(Algorithm)})


def write_key_file(disk: Disk, path: str, private: PrivateKey) -> None:
    """Put a private key into a new file, durably. Raises AlreadyThere: no key is ever overwritten."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise AlreadyThere(f"{path}: exists already, a key is never overwritten; name another file") from None
    except OSError as error:
        raise StorageError(f"{path}: {os.strerror(error.errno or 0)}") from error
    os.close(fd)
    try:
        disk.append(path, private.pem, sync=True, create=False)
        disk.sync_directory(os.path.dirname(os.path.abspath(path)))
    except StorageError:
        disk.unlink(path)
        raise


def dated_selector(now: float, algorithm: Algorithm, taken: Iterable[str]) -> str:
    """The selector of a key made today (UTC): the date and a letter, and a number when that is taken."""
    stem = f"{datetime.fromtimestamp(now, UTC):%Y%m%d}{LETTERS[algorithm]}"
    names = set(taken)
    number = 1
    while (name := stem if number == 1 else f"{stem}{number}") in names:
        number += 1
    return name


def check_selector(selector: str, domain: str) -> str:
    """The selector in lower-case A-labels. Raises GrammarError when it is none, or too long for this domain."""
    selector = domain_to_ascii(selector)
    if len(record_name(selector, domain)) > MAX_DOMAIN - 2:  # 253 characters are 255 octets in the DNS
        raise GrammarError(f"{record_name(selector, domain)} is too long for a name in the DNS")
    return selector


def read_key_file(disk: Disk, path: str) -> PrivateKey:
    """The private key in a file. Raises GrammarError, StorageError."""
    try:
        return parse_private_key(disk.read(path, _KEY_OCTETS))
    except GrammarError as error:
        raise GrammarError(f"{path}: {error}") from None


class KeyStore:
    """The keys of one data_dir, for all threads of a process. Domains are given in lower-case A-labels."""

    def __init__(self, disk: Disk, data_dir: str) -> None:
        self._disk = disk
        self._root = f"{data_dir}/{DIRECTORY}"
        self._active: dict[str, tuple[Stamp, tuple[SigningKey, ...]]] = {}
        self._loading = threading.Lock()

    def directory(self, domain: str) -> str:
        """Where the domain's keys lie, if it has any."""
        if domain_to_ascii(domain) != domain:
            # A name with a slash would lead out of dkim/.
            raise ValueError(f"{domain!r} is not a domain in lower-case A-labels")
        return f"{self._root}/{domain}"

    def lock(self) -> Lock:
        """`with store.lock():` between reading keys and writing them; waits for others who change keys."""
        self._disk.make_directories(self._root)
        return Lock(f"{self._root}/.lock")

    def domains(self) -> list[str]:
        """The domains that have keys, sorted."""
        if not self._disk.exists(self._root):
            return []
        return sorted(
            name for name in self._disk.names(self._root) if self._disk.exists(f"{self._root}/{name}/{KEYS_FILE}")
        )

    def read(self, domain: str) -> tuple[Key, ...]:
        """The domain's keys in the order they were made; none when it has none."""
        path = f"{self.directory(domain)}/{KEYS_FILE}"
        if self._disk.stamp(path) is None:
            return ()
        return self._parse(path, self._disk.read(path))

    def _parse(self, path: str, octets: bytes) -> tuple[Key, ...]:
        try:
            table = read_json(octets)
            if table.get("version") != VERSION:
                raise GrammarError(f"version is {table.get('version')!r}, and this program knows {VERSION} only")
            rows = table.get("keys")
            if not isinstance(rows, list) or table.keys() != {"version", "keys"}:
                raise GrammarError("must have version and keys, an array")
            return tuple(_RECORDS.load(Key, row, f"keys[{number}]") for number, row in enumerate(rows))
        except GrammarError as error:
            raise GrammarError(f"{path}: {error}") from None

    def write(self, domain: str, keys: Sequence[Key]) -> None:
        """Replace the domain's keys, then delete the files of those that are gone. Hold the lock."""
        directory = self.directory(domain)
        table = {"version": VERSION, "keys": [_RECORDS.dump(key) for key in keys]}
        self._disk.replace(f"{directory}/{KEYS_FILE}", write_json(table) + b"\n")
        gone = [key for key in keys if key.state is State.GONE]
        for key in gone:
            self._disk.unlink(f"{directory}/{key.selector}.pem", missing_ok=True)
        if gone:
            self._disk.sync_directory(directory)

    def make(self, domain: str, algorithms: Iterable[Algorithm], now: float, stem: str = "") -> list[Key]:
        """New keys in state next, one for each algorithm, durable. Hold the lock.

        Selectors are made from the date, or from `stem` and the algorithm's letter; AlreadyThere when that is taken.
        """
        made = []
        for algorithm in algorithms:
            selector = stem + LETTERS[algorithm] if stem else dated_selector(now, algorithm, self._taken(domain))
            made.append(self.add(domain, selector, make_private_key(algorithm), now))
        return made

    def add(self, domain: str, selector: str, private: PrivateKey, now: float) -> Key:
        """This key in state next, durable. Hold the lock. Raises AlreadyThere for a selector that is taken."""
        directory = self.directory(domain)
        selector = check_selector(selector, domain)
        if selector in self._taken(domain):
            raise AlreadyThere(f"{domain} has a key with the selector {selector} already")
        keys = self.read(domain)
        self._disk.make_directories(directory)
        write_key_file(self._disk, f"{directory}/{selector}.pem", private)
        key = Key(selector, private.algorithm, State.NEXT, int(now), private.public.record)
        self.write(domain, [*keys, key])
        return key

    def _taken(self, domain: str) -> set[str]:
        """Selectors in use, and those that a crash or somebody else has left."""
        directory = self.directory(domain)
        files = self._disk.names(directory) if self._disk.exists(directory) else []
        return {key.selector for key in self.read(domain)} | {name.removesuffix(".pem") for name in files}

    def active(self, domain: str) -> tuple[SigningKey, ...]:
        """The keys that sign for this very domain, in the order they were made; read again only when keys.json has
        changed (one stat otherwise).
        """
        path = f"{self._root}/{domain}/{KEYS_FILE}"
        stamp = self._disk.stamp(path)
        if stamp is None:
            return ()
        known = self._active.get(domain)
        if known is None or known[0] != stamp:
            with self._loading:
                known = self._active.get(domain)
                if known is None or known[0] != stamp:
                    keys = [key for key in self.read(domain) if key.state is State.ACTIVE]
                    known = stamp, tuple(self._load(domain, key) for key in keys)
                    self._active[domain] = known
        return known[1]

    def _load(self, domain: str, key: Key) -> SigningKey:
        path = f"{self.directory(domain)}/{key.selector}.pem"
        private = read_key_file(self._disk, path)
        if private.public.record != key.record:
            raise GrammarError(f"{path}: is not the key whose record {KEYS_FILE} has; bring the right one back")
        return SigningKey(domain, key.selector, private)
