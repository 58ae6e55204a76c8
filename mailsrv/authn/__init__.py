"""Floor 2: who a message is from, as the DNS can prove it: DKIM keys and signatures.

Diagnostics: none of its own.
"""
