"""Floor 0: the doors to the world (disk, clock, log, locks, network, TLS, randomness, processes), one module per door.

Diagnostics: none of its own; each door says what it raises.
"""
