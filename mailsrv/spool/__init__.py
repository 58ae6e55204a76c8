"""Floor 3: the queue on disk (mailsrv-spool(5)); knows nothing of mailboxes.

Diagnostics: none of its own.
"""
