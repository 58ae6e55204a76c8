"""A spool with due messages, and a dispatcher that a test moves by hand: for the tests of the runner's parts."""

from mailsrv.config.schema import Config, QueueConfig
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.due import read_settings
from mailsrv.deliver.job import Delivery
from mailsrv.deliver.reroute import find_reroute
from mailsrv.deliver.route import Router
from mailsrv.deliver.runner import Runner, Works
from mailsrv.deliver.settle import Settler
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.queueid import child
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from mailsrv.system.wake import Doorbell, Waker
from tests.mailsrv.spool.place import ID, SENDER, Place

HOST = "mx.remote.example [192.0.2.1]"
MESSAGE = b"From: carol@example.org\r\nSubject: lunch\r\n\r\nAt noon?\r\n"
NOW = 2_000_000_000.0  # after the time that the kernel writes on files


class Spools(Place):
    """A Place whose messages are due, with everything that a Settler needs."""

    def __init__(self, directory, **queue):
        super().__init__(directory, Disk())
        self.clock.time = NOW
        self.config = Config(
            hostname="mail.example.org", data_dir=str(directory), domains=["example.org"],
            queue=QueueConfig(**{"jitter_percent": 0, "retry_seconds": [300], **queue}),
        )  # fmt: skip
        self.waker = Waker()
        self.spool = Spool(self.disk, str(directory), self.waker)
        self.settings = read_settings(self.config)
        self.bouncer = Bouncer(self.disk, self.spool, self.settings, self.clock)
        self.reports = 0
        self.settler = Settler(
            self.config.queue, self.settings, self.bouncer, self.new_id, lambda n: n // 2, self.clock, self.log
        )

    def new_id(self):
        self.reports += 1
        return child("dZRRRRRRR00", self.reports)

    def put(self, *addresses, identifier=ID, sender=SENDER, account="", octets=MESSAGE, due=NOW, **more):
        """Queue a message to addresses or Recipients."""
        made = [one if isinstance(one, Recipient) else Recipient(Address(*one.split("@"))) for one in addresses]
        envelope = Envelope(
            identifier, self.clock.now(), sender, tuple(made), account=account, client="192.0.2.9", size=len(octets),
            **more,
        )  # fmt: skip
        with Scratch(self.disk, "", 0, MemoryBudget(0)) as nothing:
            self.spool.enqueue(envelope, Octets(octets, nothing))
        self.disk.set_time(f"{self.layout.queue}/{identifier}", due)
        return identifier

    def delivery(self, jobs=1, identifier=ID, **more):
        """A claimed message with so many jobs under way."""
        delivery = Delivery(self.claim(identifier), None, self.clock.now(), **more)
        delivery.expect(jobs)
        return delivery

    def queued_for(self, identifier=ID):
        """In how many seconds a message is due by its file; None when it has left the queue."""
        for name, moment in self.disk.times(self.layout.queue):
            if name == identifier:
                return moment - self.clock.now()
        return None

    def reports_queued(self):
        """Texts of the reports in the queue."""
        names = [name for name in self.disk.names(self.layout.queue) if name.startswith("dZRRRRRRR")]
        return [self.disk.read(f"{self.layout.queue}/{name}").decode() for name in names]


class HandDispatcher:
    """Jobs lie in `jobs` until the test ends them; `alone`: next hops (by their names) that are left alone."""

    def __init__(self):
        self.jobs = []
        self.alone = {}
        self.released = 0
        self.refusing = False

    def put(self, job):
        if self.refusing:
            raise RuntimeError("no job is taken")
        self.jobs.append(job)

    def left_alone(self, hop):
        return self.alone.get(str(hop), (0.0, ""))

    def release(self):
        self.released += 1

    def forget_idle(self):
        pass

    def stop(self):
        jobs, self.jobs = self.jobs, []
        return jobs


class Queue(Spools):
    """With a Runner on top."""

    def __init__(self, directory, go_round=None, **queue):
        super().__init__(directory, **queue)
        self.paused = set()
        self.bell = Doorbell(self.layout.wake)
        works = Works(
            self.claims, Router(self.config), self.settler, self.config.queue, None, None,
            lambda hop: str(hop) in self.paused, lambda notes: find_reroute(notes, self.config), go_round,
        )  # fmt: skip
        self.runner = Runner(works, self.bell)
        self.dispatcher = self.runner.dispatcher = HandDispatcher()

    def close(self):
        self.bell.close()
        self.waker.close()

    def wake(self, hint):
        self.waker.wake(self.layout.wake, hint.encode())

    def step(self, seconds=0.0):
        self.clock.advance(seconds)
        return self.runner.step()

    def hops(self):
        return [str(job.hop) for job in self.dispatcher.jobs]

    def end(self, status=Status.RELAYED, dsn="2.0.0", reply="so it is"):
        """End every job that lies there, all its recipients with this."""
        for job in self.dispatcher.stop():
            self.runner.end_job(job, [Outcome(index, status, dsn, reply, HOST, NOW) for index in job.indexes])
