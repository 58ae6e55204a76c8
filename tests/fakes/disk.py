"""A disk in memory with two images: what programs see, and what survives a power cut.

Octets survive once their file is synced, names (new ones, removed ones, directories) once their directory is synced. A
name that was not synced may survive or not, each for itself: `images` gives what can be found after a power cut now.

The disk can stop at any operation (`crash_at`), leave out one sync (`skip_sync`), or refuse operations (`refuse`), so
that a test finds out what each of them is for.
"""

import contextlib
import itertools
from dataclasses import dataclass, field

from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.system.disk import Missing, Stamp

MAX_CHANGES = 8  # of names that may each survive or not; beyond that only some combinations are given


class PowerCut(BaseException):
    """The machine stands still: no operation after this one has any effect."""


@dataclass(eq=False)
class File:
    octets: bytes = b""
    durable: bytes = b""
    inode: int = field(default_factory=itertools.count(1).__next__)
    changed: float = 0.0  # its time in seconds, which no sync makes durable
    locked: bool = False

    def torn(self, share):
        """What can be found of the octets after a power cut: those that were synced (0), part of the rest (1), or all
        (2)."""
        half = (len(self.durable) + len(self.octets) + 1) // 2
        part = self.octets[:half] if self.octets.startswith(self.durable) else self.durable
        return (self.durable, part, self.octets)[share]


class Found(bytes):
    """Octets of an image that know whose they are, so that several names of a file stay one file's."""

    inode = None

    @classmethod
    def of(cls, file, octets):
        found = cls(octets)
        found.inode = file.inode
        return found


@dataclass(eq=False)
class Directory:
    names: dict = field(default_factory=dict)
    durable: dict = field(default_factory=dict)
    inode: int = field(default_factory=itertools.count(1_000_000).__next__)
    changed: int = 0


class FakeUnnamedFile:
    def __init__(self, disk, directory):
        self._disk = disk
        self._directory = directory
        self._file = File()
        self.closed = False

    @property
    def size(self):
        return len(self._file.octets)

    def write(self, buffers):
        self._disk._step("write", self._directory)
        self._file.octets += b"".join(buffers)

    def copy_from(self, source, start=0):
        self.write([source._file.octets[start:]])

    def read_at(self, offset, count):
        return self._file.octets[offset : offset + count]

    def sync(self):
        if self._disk._sync_step(self._directory):
            self._file.durable = self._file.octets

    def link(self, directory, name):
        self._disk._step("link", f"{directory}/{name}")
        self._disk._add(f"{directory}/{name}", self._file)

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakeOpenFile:
    def __init__(self, file, path, locking):
        self._file = file
        self._locking = locking
        self.path = path
        self.inode = file.inode
        self.size = len(file.octets)
        self.changed = file.changed
        file.locked = file.locked or locking

    def fileno(self):
        raise NotImplementedError("a file in memory has no descriptor")

    def read_at(self, offset, count):
        return self._file.octets[offset : offset + count]

    def close(self):
        if self._file is not None and self._locking:
            self._file.locked = False
        self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakeDisk:
    """`operations` lists what was done as (operation, path); `syncs` counts the syncs among them."""

    def __init__(self, crash_at=None, skip_sync=None, refuse=None):
        self.crash_at = crash_at
        self.skip_sync = skip_sync
        self.refuse = refuse
        self.root = Directory()
        self.operations = []
        self.syncs = 0
        self.files = []
        self.space = (1 << 40, 1 << 20)
        self._clock = itertools.count(1)

    @classmethod
    def from_image(cls, image):
        """A disk on which exactly this lies, durably; `image` maps paths to octets, directories to None."""
        disk = cls()
        files = {}
        for path, octets in image.items():
            disk._make(path if octets is None else path.rpartition("/")[0])
            if octets is not None:
                inode = getattr(octets, "inode", None) or object()
                disk._add(path, files.setdefault(inode, File(bytes(octets), bytes(octets))))
        disk.settle()
        return disk

    # What the real disk has.

    def open_unnamed(self, directory, mode=0o400):
        self._step("open", directory)
        self._directory(directory)
        self.files.append(FakeUnnamedFile(self, directory))
        return self.files[-1]

    def sync_directory(self, path):
        directory = self._directory(path)
        if self._sync_step(path):
            directory.durable = dict(directory.names)

    def link(self, source, target):
        self._step("link", target)
        self._add(target, self._file(source))

    def unlink(self, path, missing_ok=False):
        self._step("unlink", path)
        directory, name = self._split(path)
        if name in directory.names:
            del directory.names[name]
            directory.changed = next(self._clock)
        elif not missing_ok:
            raise Missing(f"{path}: not there")

    def rename(self, path, name):
        self._step("rename", path)
        directory, old = self._split(path)
        if old not in directory.names:
            raise Missing(f"{path}: not there")
        directory.names[name] = directory.names.pop(old)
        directory.changed = next(self._clock)

    def remove_directory(self, path):
        self._step("rmdir", path)
        if self._directory(path).names:
            raise StorageError(f"{path}: is not empty")
        self.unlink(path)

    def make_directories(self, path, mode=0o700):
        missing = []
        while path != "/" and not self.exists(path):
            missing.append(path)
            path = path.rpartition("/")[0] or "/"
        if path != "/":
            self.sync_directory(path.rpartition("/")[0] or "/")
        for path in reversed(missing):
            self._step("mkdir", path)
            self._add(path, Directory())
            self.sync_directory(path.rpartition("/")[0] or "/")

    def replace(self, path, octets, mode=0o600):
        self._step("write", path)
        file = File(octets)
        if self._sync_step(path):
            file.durable = octets
        self._step("rename", path)
        directory, name = self._split(path)
        directory.names[name] = file
        directory.changed = next(self._clock)
        self.sync_directory(path.rpartition("/")[0])

    def append(self, path, octets, sync=False, create=True):
        self._step("append", path)
        if create and not self.exists(path):
            self._add(path, File())
        file = self._file(path)
        file.octets += octets
        if sync and self._sync_step(path):
            file.durable = file.octets

    def cut(self, path, size):
        self._step("cut", path)
        file = self._file(path)
        file.octets = file.octets[:size]
        if self._sync_step(path):
            file.durable = file.octets

    def open_file(self, path):
        return FakeOpenFile(self._file(path), path, False)

    def open_locked(self, path):
        file = self._file(path)
        return None if file.locked else FakeOpenFile(file, path, True)

    def lock(self, path, shared=False):
        return contextlib.nullcontext()

    def set_time(self, path, moment):
        self._step("time", path)
        self._file(path).changed = moment

    def read(self, path, limit=16 << 20):
        octets = self._file(path).octets
        if len(octets) > limit:
            raise StorageError(f"{path}: too long")
        return octets

    def names(self, path):
        return list(self._directory(path).names)

    def times(self, path):
        for name, node in list(self._directory(path).names.items()):
            yield name, node.changed

    def exists(self, path):
        try:
            return self._find(path) is not None
        except Missing:
            return False

    def size(self, path):
        return len(self._file(path).octets)

    def stamp(self, path):
        if not self.exists(path):
            return None
        node = self._find(path)
        if isinstance(node, Directory):
            return Stamp(node.inode, 0, node.changed)
        return Stamp(node.inode, len(node.octets), int(node.changed * 1e9))

    def free(self, path):
        return self.space

    # What tests do with it.

    def settle(self):
        """Everything is durable from here on, and operations are counted from 0."""
        for directory in self._directories(self.root):
            directory.durable = dict(directory.names)
            for node in directory.names.values():
                if isinstance(node, File):
                    node.durable = node.octets
        self.operations.clear()
        self.syncs = 0

    def tree(self):
        """What programs see: path -> octets, None for a directory."""
        return self._walk(lambda directory: directory.names, lambda file: file.octets)

    def die(self):
        """The process is gone, the machine goes on: locks are free, and nothing is lost."""
        for directory in self._directories(self.root):
            for node in directory.names.values():
                if isinstance(node, File):
                    node.locked = False

    def images(self):
        """Each tree that can be found after a power cut now: what is durable, and any choice of what is not.

        Of octets that were not synced there is nothing, a part or all, in all files alike.
        """
        changes = [
            (directory, name)
            for directory in self._directories(self.root)
            for name in directory.names.keys() | directory.durable.keys()
            if directory.names.get(name) is not directory.durable.get(name)
        ]
        changes.sort(key=lambda change: (change[0].inode, change[1]))
        for kept in _choices(changes):
            chosen = {(id(directory), name) for directory, name in kept}

            def names(directory, chosen=chosen):
                result = {}
                for name in directory.names.keys() | directory.durable.keys():
                    source = directory.names if (id(directory), name) in chosen else directory.durable
                    if name in source:
                        result[name] = source[name]
                return result

            seen = []
            for share in range(3):
                image = self._walk(names, lambda file, share=share: Found.of(file, file.torn(share)))
                if image not in seen:
                    seen.append(image)
                    yield image

    def _step(self, operation, path):
        """One operation: the power cut comes before it takes effect, a refusal instead of it."""
        if self.crash_at is not None and len(self.operations) >= self.crash_at:
            raise PowerCut(f"before {operation} {path}")
        self.operations.append((operation, path))
        error = self.refuse(operation, path) if self.refuse else None
        if error is not None:
            raise error

    def _sync_step(self, path):
        """A sync; False when this is the one to be left out."""
        self._step("sync", path)
        self.syncs += 1
        skip = self.skip_sync
        return not (skip == self.syncs - 1 or skip == path)

    def _find(self, path):
        node = self.root
        for name in path.strip("/").split("/") if path.strip("/") else []:
            if not isinstance(node, Directory) or name not in node.names:
                raise Missing(f"{path}: not there")
            node = node.names[name]
        return node

    def _file(self, path):
        node = self._find(path)
        if not isinstance(node, File):
            raise StorageError(f"{path}: is a directory")
        return node

    def _directory(self, path):
        node = self._find(path)
        if not isinstance(node, Directory):
            raise Missing(f"{path}: is no directory")
        return node

    def _split(self, path):
        parent, _, name = path.rpartition("/")
        return self._directory(parent), name

    def _add(self, path, node):
        directory, name = self._split(path)
        if name in directory.names:
            raise AlreadyThere(f"{path}: exists")
        directory.names[name] = node
        directory.changed = next(self._clock)

    def _make(self, path):
        """A directory and its parents, without an operation."""
        for end in itertools.accumulate(path.strip("/").split("/"), lambda a, b: f"{a}/{b}"):
            if not self.exists(f"/{end}"):
                self._add(f"/{end}", Directory())

    def _directories(self, directory, seen=None):
        """All directories that are or were reachable."""
        seen = set() if seen is None else seen
        if id(directory) in seen:
            return
        seen.add(id(directory))
        yield directory
        for node in [*directory.names.values(), *directory.durable.values()]:
            if isinstance(node, Directory):
                yield from self._directories(node, seen)

    def _walk(self, names, octets):
        found = {}
        rest = [("", self.root)]
        while rest:
            path, directory = rest.pop()
            for name, node in names(directory).items():
                found[f"{path}/{name}"] = None if isinstance(node, Directory) else octets(node)
                if isinstance(node, Directory):
                    rest.append((f"{path}/{name}", node))
        return found


def _choices(changes):
    """Every subset while there are few changes; else none, all, each alone, and all but each."""
    if len(changes) <= MAX_CHANGES:
        for count in range(len(changes) + 1):
            yield from itertools.combinations(changes, count)
        return
    yield ()
    yield tuple(changes)
    for change in changes:
        yield (change,)
        yield tuple(other for other in changes if other is not change)
