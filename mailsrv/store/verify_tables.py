"""Whether the tables of index.sqlite3 agree with each other: rules, each with the statement that finds what breaks it
and those that make it right.

All rules look at one state of the index, so that others may write meanwhile. No file is touched here. A counter follows
the rows that it counts; a row that belongs to nothing goes; what is computed from messages is computed again.

Diagnostics: StorageError, Damaged, as mailsrv.store.database.
"""

from collections.abc import Mapping
from typing import NamedTuple

from mailsrv.store.database import Connection
from mailsrv.store.index import Index
from mailsrv.store.ready_tables import TABLES
from mailsrv.store.rows import emailid_of
from mailsrv.store.values import DELETED, SEEN, SYSTEM


class _Rule(NamedTuple):
    """`find` gives a row for each fault, `text` says what it is, with the row's columns; `mend` makes it right. Of a
    rule `of_mailbox` the first column is a directory, and is told by the name of its mailbox."""

    text: str
    find: str
    mend: tuple[str, ...]
    of_mailbox: bool = False


def _stray(table: str, column: str, known: str) -> _Rule:
    """Rows of a table that belong to nothing."""
    where = f"{column} NOT IN (SELECT {known})"
    return _Rule(
        f"{{0}} rows of `{table}` belong to no {known.rpartition(' ')[2]}",
        f"SELECT number FROM (SELECT count(*) AS number FROM {table} WHERE {where}) WHERE number",
        (f"DELETE FROM {table} WHERE {where}",),
    )


_COUNTERS = ("messages", "unseen", "deleted", "octets")
_COUNTED = (
    f"WITH counted AS MATERIALIZED (SELECT b.id, b.directory, {', '.join(f'b.{name}' for name in _COUNTERS)},"
    f" count(m.uid) AS messages_there, coalesce(sum(m.flags & {SEEN} = 0), 0) AS unseen_there,"
    f" coalesce(sum(m.flags & {DELETED} <> 0), 0) AS deleted_there, coalesce(sum(m.size), 0) AS octets_there"
    " FROM mailbox AS b LEFT JOIN message AS m ON m.mailbox = b.id GROUP BY b.id) "
)
_WANTED = (
    "(SELECT content, count(*) AS number FROM (SELECT content FROM message UNION ALL SELECT content FROM removal)"
    " GROUP BY content)"
)
_INCOMPLETE = (
    f"SELECT content FROM ({' UNION ALL '.join(f'SELECT content FROM {table}' for table in TABLES)})"
    f" GROUP BY content HAVING count(*) < {len(TABLES)}"
)
# The highest UID and modseq that a mailbox was ever seen with.
_HIGHEST = (
    "(SELECT id, max((SELECT coalesce(max(uid), 0) FROM message WHERE mailbox = id),"
    " (SELECT coalesce(max(uid), 0) FROM expunged WHERE mailbox = id)) AS uid,"
    " max((SELECT coalesce(max(modseq), 0) FROM message WHERE mailbox = id),"
    " (SELECT coalesce(max(modseq), 0) FROM expunged WHERE mailbox = id),"
    " (SELECT coalesce(max(modseq), 0) FROM change WHERE mailbox = id)) AS modseq FROM mailbox)"
)
_NAMELESS = (
    f"(SELECT b.id, b.directory, ~({SYSTEM} | coalesce(sum(1 << k.bit), 0)) AS word"
    " FROM mailbox AS b LEFT JOIN keyword AS k ON k.mailbox = b.id GROUP BY b.id)"
)

# In the order in which they are made right: what a later one counts is right by then.
_RULES = (
    *(_stray(table, "mailbox", "id FROM mailbox") for table in ("message", "keyword", "change", "expunged")),
    _stray("removal", "directory", "directory FROM mailbox"),
    _Rule(
        "{0} messages have no content",
        "SELECT number FROM (SELECT count(*) AS number FROM message WHERE content NOT IN (SELECT id FROM content))"
        " WHERE number",
        (
            "INSERT INTO content (id, emailid, copies) SELECT content, emailid_of(min(base)), 0 FROM message"
            " WHERE content NOT IN (SELECT id FROM content) GROUP BY content",
        ),
    ),
    _Rule(
        "content {0} exists, and {1} is said to be the last",
        "SELECT max(content.id), account.content FROM content JOIN account GROUP BY account.id"
        " HAVING max(content.id) > account.content",
        ("UPDATE account SET content = max(content, (SELECT max(id) FROM content))",),
    ),
    _Rule(
        "content {0} counts {1} copies, and there are {2}",
        f"SELECT id, copies, coalesce(number, 0) FROM content LEFT JOIN {_WANTED} ON content = id"
        " WHERE copies <> coalesce(number, 0) OR number IS NULL",
        (
            "UPDATE content SET copies = 0",
            f"UPDATE content SET copies = number FROM {_WANTED} AS w WHERE w.content = content.id",
            "DELETE FROM content WHERE copies = 0",
        ),
    ),
    *(_stray(table, "content", "id FROM content") for table in TABLES),
    _Rule(
        "content {0} has some of the rows that are computed from a message, not all",
        _INCOMPLETE,
        (
            f"CREATE TEMP TABLE incomplete AS {_INCOMPLETE}",
            *(f"DELETE FROM {table} WHERE content IN (SELECT content FROM temp.incomplete)" for table in TABLES),
            "DROP TABLE temp.incomplete",
        ),
    ),
    _Rule(
        "{0}: {1} messages have keywords without a name",
        f"SELECT k.directory, count(*) FROM {_NAMELESS} AS k JOIN message AS m ON m.mailbox = k.id"
        " WHERE m.flags & k.word GROUP BY k.id",
        (
            f"UPDATE message SET flags = flags & ~k.word FROM {_NAMELESS} AS k"
            " WHERE k.id = message.mailbox AND flags & k.word",
        ),
        of_mailbox=True,
    ),
    _Rule(
        "{0}: {1}: counts {2}, and there are {3}",
        _COUNTED
        + " UNION ALL ".join(
            f"SELECT directory, '{name}', {name}, {name}_there FROM counted WHERE {name} <> {name}_there"
            for name in _COUNTERS
        ),
        (
            f"{_COUNTED} UPDATE mailbox SET {', '.join(f'{name} = {name}_there' for name in _COUNTERS)} FROM counted"
            " WHERE counted.id = mailbox.id",
        ),
        of_mailbox=True,
    ),
    _Rule(
        "{0}: has UID {1}, and the next is to be {2}",
        f"SELECT directory, h.uid, uidnext FROM mailbox JOIN {_HIGHEST} AS h USING (id) WHERE h.uid >= uidnext",
        (f"UPDATE mailbox SET uidnext = h.uid + 1 FROM {_HIGHEST} AS h WHERE h.id = mailbox.id AND h.uid >= uidnext",),
        of_mailbox=True,
    ),
    _Rule(
        "{0}: has modseq {1}, and the highest is said to be {2}",
        f"SELECT directory, h.modseq, highestmodseq FROM mailbox JOIN {_HIGHEST} AS h USING (id)"
        " WHERE h.modseq > highestmodseq",
        (
            f"UPDATE mailbox SET highestmodseq = h.modseq FROM {_HIGHEST} AS h"
            " WHERE h.id = mailbox.id AND h.modseq > highestmodseq",
        ),
        of_mailbox=True,
    ),
    _Rule(
        "{0}: has modseq {1}, and the account's highest is said to be {2}",
        "SELECT directory, highestmodseq, modseq FROM mailbox JOIN account WHERE highestmodseq > modseq",
        ("UPDATE account SET modseq = max(modseq, (SELECT max(highestmodseq) FROM mailbox))",),
        of_mailbox=True,
    ),
    *(
        _Rule(
            f"{{0}}: `{column}` is modseq {{1}}, and the highest is {{2}}",
            f"SELECT directory, {column}, highestmodseq FROM mailbox WHERE {column} > highestmodseq",
            (f"UPDATE mailbox SET {column} = {value} WHERE {column} > highestmodseq",),
            of_mailbox=True,
        )
        # `written` 0: names of files are compared with all flags again.
        for column, value in (("logged", "highestmodseq"), ("remembered", "highestmodseq"), ("written", "0"))
    ),
    _Rule(
        "{0}: UID {1} counts as expunged, and is there",
        "SELECT directory, uid FROM message JOIN mailbox ON mailbox.id = message.mailbox"
        " WHERE (mailbox, uid) IN (SELECT mailbox, uid FROM expunged)",
        ("DELETE FROM expunged WHERE (mailbox, uid) IN (SELECT mailbox, uid FROM message)",),
        of_mailbox=True,
    ),
    _Rule(
        "{0}: `change` does not tell what had modseq {1}",
        "SELECT directory, m.modseq FROM mailbox JOIN (SELECT DISTINCT mailbox, modseq FROM message) AS m"
        " ON m.mailbox = id WHERE m.modseq > logged AND (id, m.modseq) NOT IN (SELECT mailbox, modseq FROM change)",
        (
            "UPDATE mailbox SET logged = highestmodseq WHERE id IN (SELECT m.mailbox FROM message AS m"
            " WHERE m.mailbox = id AND m.modseq > logged"
            " AND (m.mailbox, m.modseq) NOT IN (SELECT mailbox, modseq FROM change))",
        ),
        of_mailbox=True,
    ),
    _Rule(
        "the account counts {0} octets in {1} messages, its mailboxes {2} in {3}",
        "SELECT a.octets, a.messages, b.octets, b.messages FROM account AS a JOIN (SELECT"
        " coalesce(sum(octets), 0) AS octets, coalesce(sum(messages), 0) AS messages FROM mailbox) AS b"
        " WHERE a.octets <> b.octets OR a.messages <> b.messages",
        (
            "UPDATE account SET octets = (SELECT coalesce(sum(octets), 0) FROM mailbox),"
            " messages = (SELECT coalesce(sum(messages), 0) FROM mailbox)",
        ),
    ),
)


def find_faults(index: Index, names: Mapping[str, str]) -> list[str]:
    """A sentence for each fault. `names`: the mailboxes' by their directories."""
    found = []
    with index.database.snapshot() as connection:
        for rule in _RULES:
            found += _look(connection, rule, names)
    return found


def mend_faults(index: Index, names: Mapping[str, str]) -> list[str]:
    """Make right what is wrong, in one transaction; gives what was."""
    found = []
    with index.write() as writing:
        connection = writing.connection
        connection.create_function("emailid_of", 1, emailid_of, deterministic=True)
        for rule in _RULES:
            if faults := _look(connection, rule, names):
                found += faults
                for statement in rule.mend:
                    connection.execute(statement)
    return found


def _look(connection: Connection, rule: _Rule, names: Mapping[str, str]) -> list[str]:
    rows = connection.execute(rule.find).fetchall()
    if rule.of_mailbox:
        rows = [(names.get(row[0], row[0]), *row[1:]) for row in rows]
    return [rule.text.format(*row) for row in rows]
