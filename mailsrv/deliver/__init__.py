"""Floor 4: where messages go: into local mailboxes, and (with the queue runner) to other hosts.

Diagnostics: none of its own.
"""
