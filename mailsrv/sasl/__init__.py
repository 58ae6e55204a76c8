"""Floor 2: SASL mechanisms (RFC 4422) as pure exchanges of octets.

Diagnostics: none of its own.
"""
