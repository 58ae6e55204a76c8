-- What index.sqlite3 of version 1 was made with (test_index.py). Never changed.
CREATE TABLE account (id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, content INTEGER NOT NULL, octets INTEGER NOT NULL, messages INTEGER NOT NULL);
INSERT INTO account VALUES (1, 1, 0, 0, 0);
CREATE TABLE mailbox (id INTEGER PRIMARY KEY AUTOINCREMENT, directory TEXT NOT NULL UNIQUE, uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, highestmodseq INTEGER NOT NULL, messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, octets INTEGER NOT NULL, new_time INTEGER NOT NULL, cur_time INTEGER NOT NULL, doubt INTEGER NOT NULL, written INTEGER NOT NULL, logged INTEGER NOT NULL, remembered INTEGER NOT NULL);
CREATE TABLE message (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, flags INTEGER NOT NULL, modseq INTEGER NOT NULL, size INTEGER NOT NULL, content INTEGER NOT NULL, hash INTEGER NOT NULL, base TEXT NOT NULL, leaf INTEGER NOT NULL, tail TEXT NOT NULL, shown INTEGER NOT NULL, received INTEGER NOT NULL, saved INTEGER NOT NULL, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;
CREATE INDEX message_hash ON message (hash);
CREATE INDEX message_new ON message (mailbox) WHERE leaf = 0;
CREATE TABLE content (id INTEGER PRIMARY KEY, emailid TEXT NOT NULL, copies INTEGER NOT NULL);
CREATE TABLE keyword (mailbox INTEGER NOT NULL, bit INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (mailbox, bit)) WITHOUT ROWID;
CREATE TABLE change (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uids TEXT NOT NULL, PRIMARY KEY (mailbox, modseq)) WITHOUT ROWID;
CREATE TABLE expunged (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uid INTEGER NOT NULL, PRIMARY KEY (mailbox, modseq, uid)) WITHOUT ROWID;
CREATE TABLE removal (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, directory TEXT NOT NULL, base TEXT NOT NULL, leaf INTEGER NOT NULL, tail TEXT NOT NULL, content INTEGER NOT NULL);
CREATE INDEX removal_hash ON removal (hash);
CREATE TABLE ready (content INTEGER PRIMARY KEY, header_size INTEGER NOT NULL, envelope BLOB, structure BLOB, fields BLOB, preview TEXT);
CREATE TABLE searchable (content INTEGER PRIMARY KEY, sent_day INTEGER, subject TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, cc TEXT NOT NULL, bcc TEXT NOT NULL);
CREATE TABLE sortable (content INTEGER PRIMARY KEY, sent INTEGER, subject TEXT NOT NULL, is_reply INTEGER NOT NULL, from_mailbox TEXT NOT NULL, to_mailbox TEXT NOT NULL, cc_mailbox TEXT NOT NULL, from_name TEXT NOT NULL, to_name TEXT NOT NULL, message_id TEXT NOT NULL, parents TEXT NOT NULL);
PRAGMA user_version = 1;
