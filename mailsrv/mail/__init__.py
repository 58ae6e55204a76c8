"""Floor 1: the values of mail (addresses, envelopes, replies, header fields, dates), immutable and without input or output.

Diagnostics: none of its own.
"""
