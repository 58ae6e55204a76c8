"""Running the program as another user: whether that can be tried on this machine."""

import subprocess
import sys


def reason_not_to(user: int, path: str) -> str:
    """Why `user` cannot run the interpreter on the file `path`, "" when it can: both may lie in a closed directory."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", f"open({path!r})"],
            user=user, group=user, extra_groups=[], cwd="/", check=False, capture_output=True,
        )  # fmt: skip
    except PermissionError:
        return "other users cannot reach the Python interpreter"
    return "other users cannot reach this checkout" if ended.returncode else ""
