"""Floor 1: the values of mail (addresses, envelopes, replies, header fields, dates), immutable, no input or output.

Diagnostics: none of its own.
"""
