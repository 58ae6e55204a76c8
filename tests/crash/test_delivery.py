"""A delivery, cut off at each of its operations, and what is found on the disk afterwards (DESIGN sections 6 and 7)."""

import itertools
from dataclasses import replace

import pytest

from mailsrv.errors import GrammarError, StorageError
from mailsrv.deliver.local import Again
from mailsrv.spool.format import decode, encode_envelope
from mailsrv.store.account import MARK, Store

from tests.crash.recovery import DATA, RETURN_PATH, Scenario, find_faults, message, new_delivery, new_disk
from tests.fakes.disk import Directory, File, PowerCut

INBOX = [
    Scenario("one account", accounts=("alice",), made=("alice",)),
    Scenario("several accounts", accounts=("alice", "bob", "dora"), made=("alice", "bob", "dora")),
    Scenario("remote only", remote=("erin", "frank")),
    Scenario("account and remote", accounts=("alice", "bob"), remote=("erin",), made=("alice", "bob")),
    Scenario("new account", accounts=("alice",)),
    Scenario("new accounts and remote", accounts=("alice", "bob"), remote=("erin",)),
    Scenario("link fails", accounts=("alice", "bob"), made=("alice", "bob"), broken=(("link", "alice"),)),
    Scenario("open fails", accounts=("alice", "bob"), made=("alice", "bob"), broken=(("open", "alice"),)),
    Scenario("directory fails", accounts=("alice", "bob"), made=("alice",), broken=(("mkdir", "bob"),)),
    Scenario("nothing local works", accounts=("alice",), remote=("erin",), broken=(("mkdir", "alice"),)),
]
# The same in quarantine, where the accounts that exist have the mailbox; and where they do not have it yet.
QUARANTINE = [
    replace(scenario, name=f"{scenario}, quarantine", mailbox="Junk", mailboxes=scenario.made) for scenario in INBOX
] + [
    Scenario("new mailbox", accounts=("alice",), made=("alice",), mailbox="Junk"),
    Scenario(
        "new mailboxes and remote", accounts=("alice", "bob"), remote=("erin",), made=("alice", "bob"), mailbox="Junk",
        mailboxes=("bob",),
    ),
    *(
        Scenario(
            f"mailbox fails at {operation}", accounts=("alice", "bob"), made=("alice", "bob"), mailbox="Junk",
            broken=((operation, "alice/.Junk"),),
        )
        for operation in ("mkdir", "append", "sync")
    ),
]  # fmt: skip
SCENARIOS = [*INBOX, *QUARANTINE]
# Here every sync belongs to the message itself, so that none may be missing.
STEADY = [scenario for scenario in SCENARIOS if scenario.is_steady]


def run(scenario, disk):
    """Whether the client sees its 250."""
    try:
        new_delivery(disk, scenario).commit(scenario.envelope, message(), RETURN_PATH)
    except (PowerCut, StorageError):
        return False
    return True


def count_operations(scenario):
    disk = new_disk(scenario)
    assert run(scenario, disk)
    return len(disk.operations), disk.syncs


def find_all_faults(scenario, skip_sync=None):
    """Every fault at every operation, in every tree that a power cut there can leave."""
    faults = []
    operations, _ = count_operations(scenario)
    for crash_at in range(operations + 1):
        disk = new_disk(scenario)
        disk.crash_at = crash_at
        disk.skip_sync = skip_sync
        acknowledged = run(scenario, disk)
        assert acknowledged == (crash_at == operations)
        for image in disk.images():
            faults += [f"cut at {crash_at}: {fault}" for fault in find_faults(scenario, image, acknowledged)]
    return faults


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_nothing_is_lost_torn_or_twice(scenario):
    assert find_all_faults(scenario) == []


@pytest.mark.parametrize("scenario", STEADY, ids=str)
def test_each_sync_is_needed(scenario):
    _, syncs = count_operations(scenario)
    for number in range(syncs):
        assert find_all_faults(scenario, skip_sync=number), f"sync {number} can be left out and nobody sees it"


@pytest.mark.parametrize("directory", [f"{DATA}/accounts", f"{DATA}/accounts/alice", f"{DATA}/accounts/alice/new"])
def test_each_directory_above_a_new_account_is_synced(directory):
    assert find_all_faults(Scenario("new account", accounts=("alice",)), skip_sync=directory)


@pytest.mark.parametrize("directory", ["accounts", *(f"accounts/alice{end}" for end in ("", "/.Junk", "/.Junk/new"))])
def test_each_directory_above_a_new_mailbox_is_synced(directory):
    scenario = Scenario("new account, quarantine", accounts=("alice",), mailbox="Junk")
    assert find_all_faults(scenario, skip_sync=f"{DATA}/{directory}")
    if directory != "accounts":
        assert find_all_faults(replace(scenario, made=("alice",)), skip_sync=f"{DATA}/{directory}")


@pytest.mark.parametrize("mailbox", ["", "Junk"])
def test_one_account_costs_two_syncs_and_few_operations(mailbox):
    scenario = Scenario("one account", accounts=("alice",), made=("alice",), mailbox=mailbox)
    scenario = replace(scenario, mailboxes=scenario.made) if mailbox else scenario
    disk = new_disk(scenario)
    assert run(scenario, disk)
    assert [operation for operation, _ in disk.operations] == ["open", "write", "sync", "link", "sync"]


def test_several_accounts_are_all_linked_before_the_first_directory_is_synced():
    disk = new_disk(SCENARIOS[1])
    assert run(SCENARIOS[1], disk)
    assert [operation for operation, _ in disk.operations] == ["open", "write", "sync", *["link"] * 3, *["sync"] * 3]


def deliver_each(scenario, disk):
    """The accounts that LMTP answers 250 for."""
    try:
        answers = new_delivery(disk, scenario).commit_each(scenario.envelope, message(), RETURN_PATH)
    except PowerCut:
        return []
    return [account for account, error in answers.items() if error is None]


def find_lmtp_faults(scenario, skip_sync=None):
    faults = []
    disk = new_disk(scenario)
    deliver_each(scenario, disk)
    for crash_at in range(len(disk.operations) + 1):
        disk = new_disk(scenario)
        disk.crash_at, disk.skip_sync = crash_at, skip_sync
        accounts = deliver_each(scenario, disk)
        accepted = replace(scenario, accounts=tuple(accounts))
        for image in disk.images():
            faults += find_faults(accepted, image, True)
    return faults


LMTP = [scenario for scenario in SCENARIOS if scenario.accounts and not scenario.remote]


@pytest.mark.parametrize("scenario", LMTP, ids=str)
def test_what_lmtp_accepts_is_durable(scenario):
    assert find_lmtp_faults(scenario) == []
    disk = new_disk(scenario)
    broken = {place.partition("/")[0] for _, place in scenario.broken}
    assert set(deliver_each(scenario, disk)) == set(scenario.accounts) - broken


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("scenario", [INBOX[1], QUARANTINE[1]], ids=str)
def test_each_sync_of_lmtp_is_needed(scenario, number):
    assert find_lmtp_faults(scenario, skip_sync=number)


@pytest.mark.parametrize("scenario", [INBOX[0], QUARANTINE[0]], ids=str)
def test_the_runner_makes_durable_what_a_killed_process_had_only_linked(scenario):
    """The name is there, so that it looks delivered; but it was never synced, and the machine stops next."""
    disk = new_disk(scenario)
    operations, _ = count_operations(scenario)
    disk.crash_at = operations - 1  # all but the directory's sync
    assert not run(scenario, disk)
    disk.crash_at = None
    done = new_delivery(disk, scenario).commit(scenario.envelope, message(), RETURN_PATH, Again.YES)
    assert done.delivered == ("alice",)
    for image in disk.images():
        assert find_faults(scenario, image, True) == []


def test_a_directory_that_another_process_has_not_synced_yet():
    """It made the Maildir and was killed: whoever delivers into it has to make it durable first."""
    scenario = Scenario("half made", accounts=("alice",))
    disk = new_disk(scenario)
    disk._add(f"{DATA}/accounts/alice", Directory())
    disk._add(f"{DATA}/accounts/alice/new", Directory())
    assert run(scenario, disk)
    for image in disk.images():
        assert find_faults(scenario, image, True) == []


@pytest.mark.parametrize("leaves", [(), ("new",), ("tmp", "new", "cur"), (MARK,), (MARK, "tmp", "new", "cur")], ids=str)
def test_a_mailbox_that_another_process_has_not_synced_yet(leaves):
    """Killed, or still at it: whatever of the mailbox is there, it is made whole and durable before the message."""
    scenario = Scenario("half made", accounts=("alice",), made=("alice",), mailbox="Junk")
    junk = f"{DATA}/accounts/alice/.Junk"
    operations = 0
    for crash_at in itertools.count():
        disk = new_disk(scenario)
        disk._add(junk, Directory())
        for leaf in leaves:
            disk._add(f"{junk}/{leaf}", File() if leaf == MARK else Directory())
        disk.crash_at = crash_at
        acknowledged = run(scenario, disk)
        for image in disk.images():
            faults = find_faults(scenario, image, acknowledged)
            # Until then the other process's cur/ may be there, and its mark not: it was no mailbox of ours.
            assert [fault for fault in faults if acknowledged or "has no mark" not in fault] == []
        if acknowledged:
            break
        operations = crash_at
    assert operations > 5


@pytest.mark.parametrize("mailbox", ["", "Junk"])
@pytest.mark.parametrize("removed", ["alice", "bob"])
@pytest.mark.parametrize("whole_account", [False, True])
def test_what_was_removed_while_we_run_is_made_again_durably(mailbox, removed, whole_account):
    """The process remembers that it was there."""
    both = ("alice", "bob")
    other = tuple({*both} - {removed})
    known = Scenario("known", accounts=both, made=both, mailbox=mailbox, mailboxes=both if mailbox else ())
    there = replace(known, mailboxes=other if mailbox else (), made=other if whole_account or not mailbox else both)
    for crash_at in itertools.count():
        disk = new_disk(there)
        disk.crash_at = crash_at
        acknowledged = run(known, disk)
        for image in disk.images():
            assert find_faults(known, image, acknowledged) == []
        if acknowledged:
            return


@pytest.mark.parametrize("operation", ["open", "write", "link"])
def test_when_the_queue_fails_nothing_is_kept(operation):
    scenario = Scenario("mixed", accounts=("alice", "bob"), remote=("erin",), made=("alice", "bob"))
    disk = new_disk(scenario)
    disk.refuse = lambda done, path: StorageError("no") if done == operation and "/spool/" in path else None
    assert not run(scenario, disk)
    assert [path for path, octets in disk.tree().items() if octets is not None] == [f"{DATA}/FORMAT"]


def test_a_directory_that_cannot_be_synced_sends_its_recipient_to_the_queue():
    scenario = Scenario("mixed", accounts=("alice", "bob"), made=("alice", "bob"))
    disk = new_disk(scenario)
    failing = f"{DATA}/accounts/bob/new"
    disk.refuse = lambda done, path: StorageError("I/O error") if (done, path) == ("sync", failing) else None
    assert run(scenario, disk)
    for image in disk.images():
        assert find_faults(scenario, image, True) == []
    assert [path for path in disk.tree() if path.startswith(f"{failing}/")] == []


def test_the_check_sees_a_torn_a_lost_and_a_double_message():
    scenario = SCENARIOS[0]
    disk = new_disk(scenario)
    assert run(scenario, disk)
    (image,) = disk.images()
    (name,) = [path for path in image if "/new/" in path]
    assert find_faults(scenario, image, True) == []
    assert "torn" in find_faults(scenario, image | {name: b"Return-"}, False)[0]
    assert "2 copies" in find_faults(scenario, image | {f"{name}x": image[name]}, True)[0]
    assert "0 copies" in find_faults(scenario, {path: image[path] for path in image if path != name}, True)[0]
    (junk,) = new_disk(QUARANTINE[0]).images()
    assert "copies in INBOX" in " ".join(find_faults(QUARANTINE[0], junk | image, True))
    mark = f"{DATA}/accounts/alice/.Junk/{MARK}"
    assert "no mark" in find_faults(scenario, {path: junk[path] for path in junk if path != mark}, False)[0]


@pytest.mark.parametrize("name", ["Junk", "-", "_9", "x" * 64, "x" * 65, ".", "..", "a.b", "a/b", "a\n", " ", "ä", "٣"])
def test_the_queue_takes_the_mailboxes_that_the_store_takes(name):
    """Else a message could wait that nobody can read or deliver."""
    line = encode_envelope(replace(INBOX[0].envelope, mailbox=name), 1)
    store = Store(new_disk(INBOX[0]), DATA)
    try:
        directory = store.directory("alice", name)
    except ValueError:
        with pytest.raises(GrammarError, match="^mailbox: "):
            decode(line)
    else:
        assert directory == f"{DATA}/accounts/alice/.{name}"
        assert decode(line).envelope.mailbox == name
