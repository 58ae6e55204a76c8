"""IMAP at work: what the commands do to an account's mailboxes, what the sessions on one mailbox are told, and logins.

No socket and no process is known here; the floor above hands everything in.
"""
