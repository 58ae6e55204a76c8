"""Floor 2: mailsrv.toml: its schema, its loading and checking, and how it is shown.

Diagnostics: none of its own.
"""
