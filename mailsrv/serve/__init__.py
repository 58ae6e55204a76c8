"""Floor 5: processes, sockets and threads: the composition root of each process kind.

Diagnostics: none of its own.
"""
