"""Floor 6: the commands: arguments, output, exit codes.

Diagnostics: none of its own.
"""
