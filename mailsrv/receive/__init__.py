"""Floor 4: the policy of one SMTP session: who may send what to whom, and what becomes of it.

Diagnostics: none of its own.
"""
