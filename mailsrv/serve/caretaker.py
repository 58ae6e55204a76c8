"""What can wait: one thread an imapd that does an account's work when nobody asks for it, so that nobody has to wait.

After a delivery: the new files get their rows, what lists of messages need is computed, texts are indexed. When an
account has been quiet for a while: flags are written back to the names of files, files of what was expunged go. Each
process takes its share of the accounts, and comes to those of its share once when it starts. Work goes in small steps,
one account after the other; who is served meanwhile does not notice more than that. Nothing is decided here.

Diagnostics: raises nothing; what the store refuses and what is a bug are told, and the account waits for its next time.
"""

import threading
import traceback
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailsrv.errors import MailsrvError
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.complaints import Complaints
from mailsrv.system.log import Log
from mailsrv.store.readers import Readers
from mailsrv.store.refusals import StoreRefusal
from mailsrv.store.values import Usage

PAUSE_SECONDS = 0.25  # before each round: deliveries that come close together are one adoption
BREATH_SECONDS = 0.03  # between steps while work is left: as long as one keeps others from writing
QUIET_SECONDS = 10.0  # without news, before an account is tidied
_STEP = 200  # messages of one step
_TIDY = 200  # files of one step


@dataclass(frozen=True, slots=True)
class Share:
    """Which accounts are this process's: `number` from 0, of `count` processes."""

    number: int = 0
    count: int = 1

    def has(self, account: str) -> bool:
        return zlib.crc32(account.encode()) % self.count == self.number


class Caretaker:
    """`run` is for a thread of its own, and ends soon after `stop`; `note` may be called by any."""

    def __init__(self, readers: Readers, share: Share, log: Log, clock: Clock) -> None:
        self._readers = readers
        self._share = share
        self._log = log
        self._clock = clock
        self._complaints = Complaints(log, clock)
        self._changed = threading.Condition()
        self._noted: set[str] = set()
        self._computing: set[str] = set()
        self._crowded: set[str] = set()
        self._untidy: dict[str, float] = {}  # when each was heard of last (monotonic)
        self._stopping = False
        self._over = threading.Event()  # the same, for a pause that no news are to end

    def note(self, accounts: Iterable[str]) -> None:
        """Something happened in these accounts."""
        mine = [account for account in accounts if self._share.has(account)]
        if mine:
            with self._changed:
                self._noted.update(mine)
                self._changed.notify()

    def stop(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._stopping = True
            self._over.set()
            self._changed.notify()

    def run(self) -> None:
        """Work until `stop`."""
        if not self._share.number:
            self._readers.reserve.keep()
        more = False
        while not self._stopping:
            noted = self._wait(more)
            # A session that idles looks for itself meanwhile, and waits for nobody to let go of the index.
            self._pause(BREATH_SECONDS if more else PAUSE_SECONDS)
            more = self.work(noted | self._take())

    def _wait(self, more: bool) -> set[str]:
        """Wait for news, or until an account has been quiet for long enough; not at all while there is more to do."""
        with self._changed:
            if not (self._noted or self._stopping or more):
                self._changed.wait(QUIET_SECONDS if self._untidy else None)
        return self._take()

    def _take(self) -> set[str]:
        with self._changed:
            noted, self._noted = self._noted, set()
        return noted

    def _pause(self, seconds: float) -> None:
        with self._changed:
            if not self._stopping:
                self._changed.wait_for(lambda: self._stopping, seconds)

    def work(self, noted: Iterable[str]) -> bool:
        """One round: a look into each account that was noted; a step for each that has more to compute, for each whose
        new/ is crowded, and for each that has been quiet. True when there is more to do now."""
        now = self._clock.monotonic()
        for account in noted:
            # Only news are a reason to look: it takes as long as the directories are large.
            if self._do(account, self._look):
                self.note([account])
            self._computing.add(account)
            self._crowded.add(account)
        for account in list(self._computing):
            self._untidy[account] = now
            if not self._do(account, self._compute):
                self._computing.discard(account)
        for account in list(self._crowded):
            if not self._do(account, self._clear_new):
                self._crowded.discard(account)
        more = bool(self._computing or self._crowded)
        quiet = [account for account, heard in self._untidy.items() if now - heard >= QUIET_SECONDS]
        for account in quiet:
            if self._do(account, self._tidy):
                more = True
            else:
                self._untidy.pop(account, None)
        if quiet:
            self._readers.reserve.is_given_up()  # made again, where there is room
        return more

    def _look(self, account: str) -> bool:
        reader = self._readers.reader(account, Usage())
        for info in reader.mailboxes():
            if info.exists and not self._stopping:
                reader.open(info.name)
        return False

    def _compute(self, account: str) -> bool:
        return self._readers.filler(account).work(_STEP)

    def _clear_new(self, account: str) -> bool:
        return self._readers.reader(account, Usage()).clear_new(_TIDY)

    def _tidy(self, account: str) -> bool:
        return self._readers.reader(account, Usage()).tidy(_TIDY)

    def _do(self, account: str, step: Callable[[str], bool]) -> bool:
        """One step; True where there is more to do."""
        if self._stopping:
            return False
        try:
            return step(account)
        except StoreRefusal:
            return True  # a mailbox went meanwhile
        except MailsrvError as error:
            self._complaints.storage(account, error)
        except Exception:
            # The net under work that nobody waits for: a bug in one account's messages keeps no other waiting.
            events.bug(self._log, where="caretaker", id=account, traceback=traceback.format_exc())
        return False
