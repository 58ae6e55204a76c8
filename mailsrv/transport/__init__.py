"""Floor 2: how safe the way to a next hop must be.

Diagnostics: none of its own.
"""
