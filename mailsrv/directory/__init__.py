"""Floor 3: who exists here: domains, accounts, aliases, passwords.

Diagnostics: none of its own.
"""
