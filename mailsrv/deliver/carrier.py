"""Carrying jobs: the thread that serves one next hop walks its hosts, talks to them, and turns their answers into
outcomes.

A recipient that a host defers is offered to the next host at once; one that it refuses is not. When no host of a next
hop can be reached, every job that waits for it ends with the same words, and the next hop is left alone for a while. A
message that was handed over whole without a reply is not offered to anybody else now: it may have arrived.

Diagnostics: raises nothing; a bug ends one job, which is deferred, with one event in the log.
"""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailsrv.deliver.conversation import Conversation, HostFault, Manner
from mailsrv.deliver.dispatch import Destination, Dispatcher
from mailsrv.deliver.hosts import Fault, HostWalk, Ourselves
from mailsrv.deliver.job import Job
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_events import Answer, Stage
from mailsrv.system import entropy, events
from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import Budget, Resolver
from mailsrv.system.log import Log

_LOOKUPS = 60
_LOOKUP_SECONDS = 60.0
_RECIPIENTS = 100  # of one transaction, where a host names no limit
_ROUNDS = 8  # transactions of one job over one connection, when a host takes only some recipients at a time

End = Callable[[Job, list[Outcome]], None]


@dataclass(frozen=True, slots=True)
class Roads:
    """What carrying needs, made once per process."""

    resolver: Resolver
    ourselves: Ourselves
    clock: Clock
    log: Log
    hello_name: str
    connect_seconds: float
    idle_seconds: float
    messages_per_connection: int
    home: Callable[[Job], list[Outcome]]  # delivers to accounts here


class Carrier:
    """Serves next hops. `end` is told of each job's outcomes, exactly once for each job."""

    def __init__(self, roads: Roads, end: End) -> None:
        self._roads = roads
        self._end = end

    def serve(self, dispatcher: Dispatcher, destination: Destination) -> None:
        """Carry the jobs of a next hop until there are none."""
        roads = self._roads
        conversation: Conversation | None = None
        try:
            while job := dispatcher.take(destination, roads.idle_seconds if conversation else 0.0):
                try:
                    conversation = self._carry(job, dispatcher, destination, conversation)
                except Exception:
                    # The net under a job, as under a session: what falls here is a bug, and the message waits.
                    events.bug(
                        roads.log, where="delivery", id=job.delivery.envelope.id, traceback=traceback.format_exc()
                    )
                    self._end_with(job, job.indexes, Reply(451, "4.3.0", "an error of this server"), "")
        finally:
            if conversation is not None:
                conversation.close()

    def _carry(
        self, job: Job, dispatcher: Dispatcher, destination: Destination, conversation: Conversation | None
    ) -> Conversation | None:
        """One job; gives the conversation that can serve the next one."""
        if job.hop.kind is HopKind.LOCAL:
            self._end(job, self._roads.home(job))
            return None
        trip = _Trip(job, self._roads)
        conversation = trip.go(conversation, destination)
        if trip.reached:
            dispatcher.worked(destination)
        elif trip.unreachable is not None:
            for other in dispatcher.failed(destination, trip.unreachable.text):
                self._end(other, trip.outcomes_for(other))
        self._end(job, trip.outcomes)
        return conversation

    def _end_with(self, job: Job, indexes: Iterable[int], reply: Reply, host: str) -> None:
        now = self._roads.clock.now()
        status = Status.DELAYED if reply.code < 500 else Status.FAILED
        self._end(job, [Outcome(index, status, reply.enhanced, str(reply), host, now) for index in indexes])


class _Trip:
    """One job's way over the hosts of its next hop. `reached`: some host has taken part in a transaction;
    `unreachable`: why none could, when that is so."""

    def __init__(self, job: Job, roads: Roads) -> None:
        self._job = job
        self._roads = roads
        self._todo = list(job.indexes)
        self._last: dict[int, tuple[Answer, str]] = {}
        self._verdict: tuple[Status, Reply, str] = (Status.DELAYED, Reply(451, "4.4.1", "not tried"), "")
        self.outcomes: list[Outcome] = []
        self.reached = False
        self.unreachable: Reply | None = None

    def go(self, conversation: Conversation | None, destination: Destination) -> Conversation | None:
        """Try the conversation that is there, then the hosts in order."""
        roads, job = self._roads, self._job
        if conversation is not None:
            if conversation.messages < roads.messages_per_connection and not conversation.is_over:
                self._talk(conversation)
            if self._todo or conversation.is_over or conversation.messages >= roads.messages_per_connection:
                conversation.close()
                conversation = None
        if not self._todo:
            return conversation
        walk = HostWalk(
            roads.resolver, job.hop, roads.ourselves, entropy.below, Budget(_LOOKUPS, _LOOKUP_SECONDS, roads.clock)
        )
        while self._todo and (host := walk.next_host()) is not None:
            lies = destination.lies.get(host.address, frozenset())
            conversation = Conversation(host, self._manner(job.hop), roads.clock, lies)
            try:
                conversation.open()
            except HostFault as fault:
                walk.failed(host, fault.fault, fault.reply, fault.by_peer)
                conversation = None
                continue
            before = len(self._todo)
            self._talk(conversation)
            if conversation.lies:
                destination.lies[host.address] = conversation.lies
            if self._todo:
                answer = self._last[self._todo[-1]][0]
                walk.failed(host, Fault.TEMPORARY, answer.reply, answer.by_peer)
            if self._todo or conversation.is_over or before == 0:
                conversation.close()
                conversation = None
        self._give_up(walk)
        return conversation

    def outcomes_for(self, other: Job) -> list[Outcome]:
        """The same end for another job of a next hop that cannot be reached."""
        status, reply, host = self._verdict
        now = self._roads.clock.now()
        return [Outcome(index, status, reply.enhanced, str(reply), host, now) for index in other.indexes]

    def _manner(self, hop: NextHop) -> Manner:
        credentials = hop.credentials
        return Manner(
            hello_name=self._roads.hello_name,
            level=hop.level,
            lmtp=hop.is_lmtp,
            username=credentials.username if credentials else "",
            password=credentials.password if credentials else "",
            connect_seconds=self._roads.connect_seconds,
        )

    def _talk(self, conversation: Conversation) -> None:
        """Send the message for all that wait, in as many transactions as the host needs."""
        delivery = self._job.delivery
        limit = conversation.recipients_limit or _RECIPIENTS
        tried: set[int] = set()
        for _round in range(_ROUNDS + len(self._todo) // limit):
            chosen = tuple(index for index in self._todo if index not in tried)[:limit]
            if not chosen or conversation.is_over:
                return
            transaction = self._job.transaction(chosen)
            began = self._roads.clock.monotonic()
            answers = conversation.deliver(transaction, delivery.blocks())
            delivery.transmit_seconds = max(
                delivery.transmit_seconds, self._roads.clock.monotonic() - began
            )
            tried.update(chosen)
            some = any(answer.is_accepted for answer in answers)
            for index, answer in zip(chosen, answers, strict=True):
                self._take(index, answer, conversation)
                # Too many at a time, or a parameter that the host had offered: once more without what was in the way.
                if index in self._todo and (answer.again or (some and answer.reply.code == 452)):
                    tried.discard(index)

    def _take(self, index: int, answer: Answer, conversation: Conversation) -> None:
        """What one recipient's answer means for it."""
        host = str(conversation.host) if answer.by_peer else ""
        self.reached = self.reached or answer.by_peer
        if answer.is_accepted:
            status = Status.DELIVERED if self._job.hop.is_lmtp else Status.RELAYED
            if conversation.offers_dsn:
                self._job.delivery.passed_on.add(index)
        elif answer.is_permanent and answer.stage is not Stage.NEEDS:
            status = Status.FAILED
        elif answer.doubtful:
            status = Status.DELAYED
        else:
            self._last[index] = (answer, host)
            return
        self._todo.remove(index)
        self._add(index, status, answer.reply, host)

    def _give_up(self, walk: HostWalk) -> None:
        """No host is left: who still waits gets the last word that was said about it, or the walk's."""
        if not self._todo:
            return
        verdict = walk.verdict
        self._verdict = verdict.status, verdict.reply, verdict.host
        if not self.reached and not self._last and verdict.status is Status.DELAYED:
            self.unreachable = verdict.reply
        for index in self._todo:
            if index in self._last:
                answer, host = self._last[index]
                status = Status.FAILED if answer.is_permanent else Status.DELAYED
                self._add(index, status, answer.reply, host)
            else:
                self._add(index, verdict.status, verdict.reply, verdict.host)
        self._todo = []

    def _add(self, index: int, status: Status, reply: Reply, host: str) -> None:
        now = self._roads.clock.now()
        self.outcomes.append(Outcome(index, status, reply.enhanced, str(reply), host, now))
