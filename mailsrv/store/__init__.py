"""Floor 3: the accounts' Maildirs on disk (mailsrv-store(5)); knows nothing of the queue.

Diagnostics: none of its own.
"""
