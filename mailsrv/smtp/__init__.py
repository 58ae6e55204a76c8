"""Floor 2: the SMTP protocol core (RFC 5321): octets in, events out; no sockets, clocks or files.

Diagnostics: none of its own.
"""
