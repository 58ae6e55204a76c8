"""Floor 0: pure text tools (strict record codec, scanners) that know nothing of mail.

Diagnostics: none of its own.
"""
