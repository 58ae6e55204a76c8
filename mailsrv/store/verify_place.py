"""What lies beside the messages of an account and should agree with them: the count of maildirsize, the text index,
files in tmp/ that belong to nobody, and clients' values.

But for the last, all of it can be made again, so that making it right is to take it away.

Diagnostics: StorageError when the disk refuses.
"""

from collections.abc import Callable, Iterable, Iterator

from mailsrv.errors import StorageError
from mailsrv.system.disk import Missing
from mailsrv.store.filling import Filler
from mailsrv.store.index import Index
from mailsrv.store.mailboxes import YOUNG_SECONDS
from mailsrv.store.metadata import FILE as METADATA
from mailsrv.store.metadata import parse_values
from mailsrv.store.quota import FILE as MAILDIRSIZE
from mailsrv.store.quota import MAX_OCTETS, parse
from mailsrv.store.rows import LEAVES
from mailsrv.store.text_index import FILE as SEARCH

OLD_SECONDS = 36 * 3600  # a file in tmp/ that is older belongs to nobody (maildir(5))


def find_debris(index: Index, directories: Iterable[str], mend: bool) -> Iterator[str]:
    """Old files in tmp/ of mailboxes."""
    limit = index.clock.now() - OLD_SECONDS
    for directory in directories:
        path = f"{index.layout.path(directory)}/tmp"
        try:
            old = [name for name, moment in index.disk.times(path) if moment < limit]
        except Missing:
            continue
        if old:
            yield f"{path}: has {len(old)} files that nobody has finished in {OLD_SECONDS // 3600} hours"
        for name in old if mend else ():
            index.disk.unlink(f"{path}/{name}", missing_ok=True)


def find_wrong_count(index: Index, directories: Iterable[str], adopt: Callable[[], None], mend: bool) -> Iterator[str]:
    """A maildirsize that says something else than the index. `adopt` takes in what was delivered.

    Whoever adds or removes a message counts it a moment later, so that this is asked where nothing has changed just
    now, and before anything else writes."""
    path = f"{index.layout.root}/{MAILDIRSIZE}"
    watched = [path, f"{index.layout.index}-wal"]
    watched += [f"{index.layout.path(directory)}/{leaf}" for directory in directories for leaf in LEAVES]
    before = [index.disk.stamp(one) for one in watched]
    limit = (index.clock.now() - YOUNG_SECONDS) * 1e9
    if before[0] is None or any(stamp is not None and stamp.changed > limit for stamp in before):
        return
    adopt()
    wanted = index.read("SELECT octets, messages FROM account")[0]
    told = ""
    try:
        usage = parse(index.disk.read(path, 2 * MAX_OCTETS))
        found = usage.octets, usage.messages
        if found != wanted:
            told = f"counts {found[0]} octets in {found[1]} messages, and there are {wanted[0]} in {wanted[1]}"
    except Missing:
        return
    except ValueError as error:
        told = str(error)
    files = [index.disk.stamp(one) for one in watched if one != watched[1]]  # the log may be our own
    if told and files == before[:1] + before[2:]:
        yield f"{path}: {told}"
        if mend:
            index.disk.unlink(path, missing_ok=True)  # whoever delivers next counts


def find_wrong_values(index: Index) -> Iterator[str]:
    """A file of values that cannot be read. Nothing else knows them: it is left to people."""
    path = f"{index.layout.root}/{METADATA}"
    try:
        parse_values(index.disk.read(path))
    except Missing:
        return
    except ValueError as error:
        yield f"{path}:{error}; correct it, or move it away"


def find_wrong_texts(index: Index, mend: bool) -> Iterator[str]:
    """A text index that cannot be read, or knows messages that there never were."""
    path = f"{index.layout.root}/{SEARCH}"
    if not index.disk.exists(path):
        return
    texts = Filler(index).texts
    try:
        covered = texts.covered()
    except StorageError as error:  # a damaged one was taken away by that
        yield str(error)
        return
    (last,) = index.read("SELECT content FROM account")[0]
    if covered > last:
        yield f"{path}: knows messages up to content {covered}, and {last} is the last"
        if mend:
            texts.discard()
