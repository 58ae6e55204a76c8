"""Carrying jobs: the thread that serves one next hop walks its hosts, talks to them, and turns their answers into
outcomes.

A recipient that a host defers is offered to the next host at once; one that it refuses is not. When no host of a next
hop can be used, every job that waits for it ends with the same words, and the next hop is left alone for a while. A
message that was handed over whole without a reply is not offered to anybody else now: it may have arrived.

Diagnostics: raises nothing; a message that cannot be read or signed is deferred with an event `storage`, one that falls
to a bug with an event `bug`.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from mailsrv.deliver.conversation import Conversation, HostFault, Manner
from mailsrv.deliver.dispatch import Destination, Dispatcher
from mailsrv.deliver.hosts import Fault, Host, HostWalk, Ourselves, as_temporary
from mailsrv.deliver.job import Job
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.errors import MailsrvError, StorageError
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
_AWAY_SECONDS = 300.0
_MOST_AWAY = 100  # addresses of one next hop
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
        """Carry the jobs of a next hop until there are none, or until this connection is one too many."""
        line = _Line(self._roads, destination)
        try:
            while job := dispatcher.take(destination, self._roads.idle_seconds if line.conversation else 0.0):
                if not self._carry(job, dispatcher, line):
                    return
        finally:
            line.close()

    def _carry(self, job: Job, dispatcher: Dispatcher, line: "_Line") -> bool:
        """One job; False when the thread has to end, and others will carry it."""
        outcomes: list[Outcome] = []  # what is known is kept, whatever comes later
        try:
            if job.hop.kind is HopKind.LOCAL:
                outcomes = self._roads.home(job)
            elif not self._travel(job, dispatcher, line, outcomes):
                return False
        except MailsrvError as error:
            line.close()
            events.storage(self._roads.log, path=job.delivery.envelope.id, reason=str(error))
            outcomes += self._deferred(job, outcomes, "the message cannot be read or signed here")
        except Exception:
            # The net under a job, as under a session: what falls here is a bug, and the message waits.
            line.close()
            self._tell_bug(job)
            outcomes += self._deferred(job, outcomes, "an error of this server")
        self._finish(job, outcomes)
        return True

    def _travel(self, job: Job, dispatcher: Dispatcher, line: "_Line", outcomes: list[Outcome]) -> bool:
        """Carry a job to other hosts, and all that wait for the same next hop when none can be used."""
        not_before, reason = dispatcher.left_alone(job.hop)
        if not_before and not job.delivery.forced:
            # It came just when the next hop was found to be of no use.
            outcomes += self._deferred(job, outcomes, reason, "4.4.1")
            return True
        job.delivery.prepare()
        trip = _Trip(job, line, outcomes)
        trip.go()
        if trip.reached:
            dispatcher.worked(line.destination)
        elif trip.unreachable is not None:
            others = dispatcher.failed(line.destination, job, trip.unreachable.text)
            if others is None:
                return False
            for other in others:
                self._finish(other, trip.outcomes_for(other))
        return True

    def _finish(self, job: Job, outcomes: list[Outcome]) -> None:
        try:
            self._end(job, outcomes)
        except Exception:
            self._tell_bug(job)

    def _deferred(self, job: Job, known: list[Outcome], text: str, dsn: str = "4.3.0") -> list[Outcome]:
        """An outcome for each recipient that has none."""
        reply, now = Reply(451, dsn, text), self._roads.clock.now()
        done = {outcome.recipient for outcome in known}
        return [
            Outcome(index, Status.DELAYED, reply.enhanced, str(reply), "", now)
            for index in job.indexes
            if index not in done
        ]

    def _tell_bug(self, job: Job) -> None:
        events.bug(
            self._roads.log, where="delivery", id=job.delivery.envelope.id, traceback=traceback.format_exc()
        )  # fmt: skip


class _Line:
    """What a thread that serves a next hop keeps from job to job: the conversation that can take another message."""

    def __init__(self, roads: Roads, destination: Destination) -> None:
        self.roads = roads
        self.destination = destination
        self.conversation: Conversation | None = None

    def usable(self) -> Conversation | None:
        """The conversation that is there, if it still stands."""
        conversation = self.conversation
        if conversation is not None and not (self._has_room(conversation) and conversation.still_stands()):
            self.close()
        return self.conversation

    def open(self, host: Host, hop: NextHop) -> Conversation:
        """A new conversation. Raises HostFault."""
        roads = self.roads
        credentials = hop.credentials
        manner = Manner(
            hello_name=roads.hello_name,
            level=hop.level,
            lmtp=hop.is_lmtp,
            username=credentials.username if credentials else "",
            password=credentials.password if credentials else "",
            connect_seconds=roads.connect_seconds,
        )
        conversation = Conversation(host, manner, roads.clock, self.lies(host))
        conversation.open()
        self.destination.away.pop(host.address, None)
        self.conversation = conversation
        return conversation

    def miss(self, fault: HostFault, host: Host) -> None:
        """Remember a host that was not there, so that others of the next hop are asked first for a while."""
        if fault.stage is Stage.GREETING and not fault.by_peer:
            away, now = self.destination.away, self.roads.clock.monotonic()
            if len(away) >= _MOST_AWAY:
                away.clear()
            away[host.address] = now + _AWAY_SECONDS

    def is_away(self, host: Host) -> bool:
        """Whether a host was not there a moment ago."""
        return self.destination.away.get(host.address, 0.0) > self.roads.clock.monotonic()

    def lies(self, host: Host) -> frozenset[str]:
        """What a host is known to offer and not to know."""
        return self.destination.lies.get(host.address, frozenset())

    def learn(self, conversation: Conversation) -> bool:
        """Keep what a host has offered and not known; whether there is anything new."""
        known, host = self.lies(conversation.host), conversation.host
        if conversation.lies <= known:
            return False
        self.destination.lies[host.address] = known | conversation.lies
        return True

    def close(self) -> None:
        """End the conversation, if there is one."""
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.close()

    def _has_room(self, conversation: Conversation) -> bool:
        most = self.roads.messages_per_connection
        return conversation.messages < min(most, conversation.messages_limit or most)


class _Trip:
    """One job's way over the hosts of its next hop. `reached`: some host has taken part in a transaction;
    `unreachable`: why none could be used, when that is so."""

    def __init__(self, job: Job, line: _Line, outcomes: list[Outcome]) -> None:
        """`outcomes` is filled."""
        self._job = job
        self._line = line
        self._roads = line.roads
        self._todo = list(job.indexes)
        self._last: dict[int, tuple[Answer, str]] = {}
        self._verdict: tuple[Status, Reply, str] = (Status.DELAYED, Reply(451, "4.4.1", "not tried"), "")
        self._usable = False  # some host was not lame, whatever became of the message
        self._missed = False  # some host could not be asked, and may be another time
        self._outcomes = outcomes
        self.reached = False
        self.unreachable: Reply | None = None

    def go(self) -> None:
        """Try the conversation that is there, then the hosts in order."""
        roads, job, line = self._roads, self._job, self._line
        conversation = line.usable()
        if conversation is not None:
            self._talk(conversation)
        if not self._todo:
            return
        line.close()
        walk = HostWalk(
            roads.resolver, job.hop, roads.ourselves, entropy.below, Budget(_LOOKUPS, _LOOKUP_SECONDS, roads.clock)
        )
        later: list[Host] = []  # hosts that were not there a moment ago: each would cost its timeout again
        while self._todo:
            host = walk.next_host()
            if host is not None and line.is_away(host):
                later.append(host)
            elif host is not None or later:
                self._visit(host or later.pop(0), walk)
            else:
                break
        self._give_up(walk)

    def outcomes_for(self, other: Job) -> list[Outcome]:
        """The same end for another job of a next hop that cannot be reached."""
        status, reply, host = self._verdict
        now = self._roads.clock.now()
        return [Outcome(index, status, reply.enhanced, str(reply), host, now) for index in other.indexes]

    def _visit(self, host: Host, walk: HostWalk) -> None:
        """Try one host; a second time at once when it broke down over something that it only claims to know."""
        line = self._line
        for _attempt in range(2):
            try:
                conversation = line.open(host, self._job.hop)
            except HostFault as fault:
                line.miss(fault, host)
                walk.failed(host, fault.fault, fault.reply, fault.by_peer)
                self._missed = self._missed or fault.fault is not Fault.PERMANENT
                return
            if not self._talk(conversation) or not self._todo:
                break
            line.close()
        if self._todo:
            answer = self._last[self._todo[-1]][0]
            walk.failed(host, Fault.TEMPORARY, answer.reply, answer.by_peer)
            line.close()

    def _talk(self, conversation: Conversation) -> bool:
        """Send the message for all that wait, in as many transactions as the host needs. True when the host has turned
        out to lie about an extension."""
        delivery, clock = self._job.delivery, self._roads.clock
        limit = conversation.recipients_limit or _RECIPIENTS
        tried: set[int] = set()
        for _round in range(_ROUNDS + len(self._todo) // limit):
            chosen = tuple([index for index in self._todo if index not in tried][:limit])
            if not chosen or conversation.is_over:
                break
            transaction = self._job.transaction(chosen)
            began = clock.monotonic()
            answers = conversation.deliver(transaction, delivery.blocks())
            delivery.transmit_seconds = max(delivery.transmit_seconds, clock.monotonic() - began)
            tried.update(chosen)
            some = any(answer.is_accepted for answer in answers)
            for index, answer in zip(chosen, answers, strict=True):
                self._take(index, answer, conversation)
                # Too many at a time, or a parameter that the host had offered: once more without what was in the way.
                if index in self._todo and (answer.again or (some and answer.reply.code == 452)):
                    tried.discard(index)
            if conversation.damage:
                raise StorageError(conversation.damage)
        if conversation.is_over:
            self._line.close()
        return self._line.learn(conversation)

    def _take(self, index: int, answer: Answer, conversation: Conversation) -> None:
        """What one recipient's answer means for it."""
        host = str(conversation.host) if answer.by_peer else ""
        # A host that hangs up or goes silent over an envelope is as good as dead; over a message it may be the message.
        gone = answer.reply.code == 421 or not (answer.by_peer or answer.again)
        self._usable = self._usable or not (gone and answer.stage in (Stage.MAIL, Stage.RCPT))
        self.reached = self.reached or (answer.by_peer and answer.reply.code != 421)
        if answer.is_accepted:
            status = Status.DELIVERED if self._job.hop.is_lmtp else Status.RELAYED
            if conversation.offers_dsn:
                self._job.delivery.passed_on.add(index)
        elif answer.is_permanent and answer.stage is not Stage.NEEDS:
            status = Status.FAILED
        elif answer.doubtful and answer.stage is Stage.END:
            # Where not even the envelope was answered, though all was sent at once, the host was hardly there.
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
        if not self.reached and not self._usable and verdict.status is Status.DELAYED:
            self.unreachable = verdict.reply
        for index in self._todo:
            if index not in self._last:
                self._add(index, verdict.status, verdict.reply, verdict.host)
                continue
            answer, host = self._last[index]
            if answer.is_permanent and self._missed:  # what this host cannot take, one that is away now perhaps can
                self._add(index, Status.DELAYED, as_temporary(answer.reply), host)
            else:
                self._add(index, Status.FAILED if answer.is_permanent else Status.DELAYED, answer.reply, host)
        self._todo = []

    def _add(self, index: int, status: Status, reply: Reply, host: str) -> None:
        now = self._roads.clock.now()
        self._outcomes.append(Outcome(index, status, reply.enhanced, str(reply), host, now))
