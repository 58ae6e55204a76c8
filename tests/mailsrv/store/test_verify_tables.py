"""Rules of the index: each fault is found, told and made right, and nothing else changes."""

import pytest

from mailsrv.store.message import base_of
from mailsrv.store.rows import emailid_of
from mailsrv.store.values import FLAGGED, SEEN, Operation
from mailsrv.store.verify_tables import find_faults, mend_faults

from tests.mailsrv.store.ground import Ground, rows, text_of, uids

NAMES = {".": "INBOX", ".A": "A"}


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    ground.reader.create("A")
    box = ground.open()
    ground.append(box, "Subject: one\r\n\r\n", "two", "three", flags=SEEN)
    box.copy(uids(1), ground.open("A"))
    box.store_flags(uids(2), Operation.ADD, FLAGGED | box.keyword_bit("$Work", create=True))
    while ground.readers.filler("bob").work():
        pass
    return ground


@pytest.fixture
def index(ground):
    return ground.reader._index


# What is spoiled, and what is said about it.
FAULTS = [
    ("INSERT INTO change VALUES (99, 3, '1')", "1 rows of `change` belong to no mailbox"),
    ("INSERT INTO expunged VALUES (99, 3, 1), (99, 3, 2)", "2 rows of `expunged` belong to no mailbox"),
    ("INSERT INTO keyword VALUES (99, 8, 'x')", "1 rows of `keyword` belong to no mailbox"),
    ("INSERT INTO removal VALUES (1, 1, '.none', 'x', 1, '', 1)", "1 rows of `removal` belong to no mailbox"),
    ("UPDATE message SET mailbox = 99 WHERE uid = 3", "1 rows of `message` belong to no mailbox"),
    ("DELETE FROM content WHERE id = 2", "1 messages have no content"),
    ("UPDATE account SET content = 2", "content 3 exists, and 2 is said to be the last"),
    ("UPDATE content SET copies = 9 WHERE id = 1", "content 1 counts 9 copies, and there are 2"),
    ("INSERT INTO content VALUES (7, 'M', 1, NULL)", "content 7 counts 1 copies, and there are 0"),
    ("INSERT INTO content VALUES (7, 'M', 0, NULL)", "content 7 counts 0 copies, and there are 0"),
    ("UPDATE ready SET content = 77 WHERE content = 3", "1 rows of `ready` belong to no content"),
    ("UPDATE sortable SET content = 77 WHERE content = 3", "1 rows of `sortable` belong to no content"),
    ("DELETE FROM searchable WHERE content = 2", "content 2 has some of the rows that are computed"),
    ("UPDATE message SET flags = flags | 4096 WHERE uid = 2", "INBOX: 1 messages have keywords without a name"),
    ("UPDATE mailbox SET messages = 7 WHERE directory = '.A'", "A: messages: counts 7, and there are 1"),
    ("UPDATE mailbox SET unseen = 1 WHERE directory = '.A'", "A: unseen: counts 1, and there are 0"),
    ("UPDATE mailbox SET deleted = -1 WHERE directory = '.'", "INBOX: deleted: counts -1, and there are 0"),
    ("UPDATE mailbox SET octets = 0 WHERE directory = '.A'", "A: octets: counts 0, and there are 16"),
    ("UPDATE mailbox SET uidnext = 3 WHERE directory = '.'", "INBOX: has UID 3, and the next is to be 3"),
    ("INSERT INTO expunged SELECT id, 1, 99 FROM mailbox", "A: has UID 99, and the next is to be 2"),
    ("UPDATE mailbox SET highestmodseq = 1", "INBOX: has modseq 6, and the highest is said to be 1"),
    ("UPDATE account SET modseq = 1", "INBOX: has modseq 6, and the account's highest is said to be 1"),
    ("UPDATE mailbox SET logged = 99 WHERE directory = '.'", "INBOX: `logged` is modseq 99, and the highest is 6"),
    ("UPDATE mailbox SET remembered = 99 WHERE directory = '.'", "INBOX: `remembered` is modseq 99"),
    ("UPDATE mailbox SET written = 99 WHERE directory = '.A'", "A: `written` is modseq 99"),
    ("INSERT INTO expunged SELECT id, 1, 1 FROM mailbox", "INBOX: UID 1 counts as expunged, and is there"),
    ("DELETE FROM change WHERE mailbox = 1", "INBOX: `change` does not tell what had modseq 6"),
    ("UPDATE account SET octets = 1, messages = 2", "the account counts 1 octets in 2 messages, its mailboxes 40 in 4"),
]


def test_there_is_no_fault(index):
    assert find_faults(index, NAMES) == []
    assert mend_faults(index, NAMES) == []


@pytest.mark.parametrize(("spoil", "complaint"), FAULTS, ids=[complaint for _, complaint in FAULTS])
def test_each_fault_is_found_and_made_right(ground, index, spoil, complaint):
    box = ground.open()
    seen = rows(box, "uid", "size", "base", "emailid")
    keywords = box.keywords()
    with index.write() as writing:
        writing.execute(spoil)
    found = find_faults(index, NAMES)
    assert any(text.startswith(complaint) for text in found), found
    assert find_faults(index, NAMES) == found  # looking changes nothing
    assert set(found) >= set(mend_faults(index, NAMES)[:1])
    assert find_faults(index, NAMES) == []
    assert mend_faults(index, NAMES) == []
    assert box.keywords() == keywords
    if "mailbox = 99" not in spoil:
        assert rows(box, "uid", "size", "base", "emailid") == seen
    else:
        # The file is a new message when somebody looks: nothing is lost.
        box.refresh(force=True)
        assert sorted(text_of(box, uid) for (uid,) in rows(box, "uid")) == ["Subject: one\r\n\r\n", "three", "two"]


def test_a_content_that_is_made_anew_has_the_email_id_of_its_message(ground, index):
    with index.write() as writing:
        writing.execute("DELETE FROM content WHERE id = 2")
    mend_faults(index, NAMES)
    ((base,),) = index.read("SELECT base FROM message WHERE content = 2")
    assert index.read("SELECT emailid, copies FROM content WHERE id = 2") == [(emailid_of(base_of(base)), 1)]


def test_what_is_not_computed_whole_is_computed_again(ground, index):
    with index.write() as writing:
        writing.execute("DELETE FROM ready WHERE content = 2")
    mend_faults(index, NAMES)
    assert index.read("SELECT content FROM searchable ORDER BY 1") == [(1,), (3,)]
    assert ground.readers.filler("bob").fill_from(ground.open()._key, 1) == 1
    assert index.read("SELECT count(*) FROM ready") == [(3,)]
