"""The tables of index.sqlite3 that hold what is computed from messages, and which header fields are kept.

One row a message (content id) in each, written in one transaction; a message without a row in `ready` is not computed
yet. Everything here can be computed again from the files. They are apart by who reads them: `ready` is wide and read by
FETCH, `searchable` is scanned by SEARCH, `sortable` is read by SORT and THREAD. A change of what a column holds is a
new version of the index (a message computed before would be answered wrong).

Diagnostics: raises nothing.
"""

# The fields that clients ask for in lists of messages; BODY[HEADER.FIELDS (...)] of others is read from the file.
FIELDS = frozenset(
    {
        b"auto-submitted",
        b"bcc",
        b"cc",
        b"content-description",
        b"content-disposition",
        b"content-transfer-encoding",
        b"content-type",
        b"date",
        b"delivered-to",
        b"disposition-notification-to",
        b"envelope-to",
        b"from",
        b"importance",
        b"in-reply-to",
        b"lines",
        b"list-id",
        b"list-post",
        b"list-subscribe",
        b"list-unsubscribe",
        b"list-unsubscribe-post",
        b"mail-followup-to",
        b"mail-reply-to",
        b"message-id",
        b"mime-version",
        b"newsgroups",
        b"precedence",
        b"priority",
        b"references",
        b"reply-to",
        b"return-path",
        b"sender",
        b"subject",
        b"thread-index",
        b"thread-topic",
        b"to",
        b"x-draft-info",
        b"x-label",
        b"x-original-to",
        b"x-priority",
        b"x-uniform-type-identifier",
        b"x-universally-unique-identifier",
    }
)

# Columns are NULL where the message has more than MAX_OCTETS of it, or cannot be read: then it is read from the file.
# `header_size`: octets up to the end of the empty line. `fields`: the octets of all FIELDS, in the message's order.
READY = (
    "CREATE TABLE ready (content INTEGER PRIMARY KEY, header_size INTEGER NOT NULL, envelope BLOB, structure BLOB,"
    " fields BLOB, preview TEXT)"
)
# Folded texts, as `store.message_text` folds; `sent_day`: the Date field's day (in its own zone) since the epoch, NULL
# without one that can be read.
SEARCHABLE = (
    "CREATE TABLE searchable (content INTEGER PRIMARY KEY, sent_day INTEGER, subject TEXT NOT NULL,"
    " sender TEXT NOT NULL, recipient TEXT NOT NULL, cc TEXT NOT NULL, bcc TEXT NOT NULL)"
)
# `sent`: the Date field in seconds since the epoch, NULL as above. Mailboxes (addr-mailbox) and names (or addresses) of
# the first address of a field. `message_id` without brackets; `parents` what it answers, one a line, oldest first.
SORTABLE = (
    "CREATE TABLE sortable (content INTEGER PRIMARY KEY, sent INTEGER, subject TEXT NOT NULL,"
    " is_reply INTEGER NOT NULL, from_mailbox TEXT NOT NULL, to_mailbox TEXT NOT NULL, cc_mailbox TEXT NOT NULL,"
    " from_name TEXT NOT NULL, to_name TEXT NOT NULL, message_id TEXT NOT NULL, parents TEXT NOT NULL)"
)
TABLES = {"ready": READY, "searchable": SEARCHABLE, "sortable": SORTABLE}
STATEMENTS = tuple(TABLES.values())
# For an index of an older version, which held something else.
RENEW = (*(f"DROP TABLE {name}" for name in TABLES), *STATEMENTS)

MAX_OCTETS = 65536  # of one column
