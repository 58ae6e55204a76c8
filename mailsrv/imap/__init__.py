"""Floor 2: the IMAP protocol core (RFC 9051, RFC 3501): octets in, events out; no sockets, clocks or files.

Diagnostics: none of its own.
"""
