"""Starts the real server for the tests: as `mailsrv serve`, with times of the test's choice and, if named, another
Service.

    python -m tests.whole.launch JSON      {"options": {...}, "build": "module:function" or ""}
"""

import importlib
import json
import os
import sys

from mailsrv.cli.serve import serve
from mailsrv.config.load import load
from mailsrv.errors import ConfigError
from mailsrv.serve import processes
from mailsrv.serve.opening import Options


def main() -> int:
    plan = json.loads(sys.argv[1])
    if plan.get("activate"):
        # systemd gives LISTEN_PID when it starts the process: only the process itself knows its number.
        os.environ["LISTEN_PID"] = str(os.getpid())
    options = Options(**plan["options"])
    build = processes.build
    if plan["build"]:
        module, _, name = plan["build"].partition(":")
        build = getattr(importlib.import_module(module), name)
    try:
        config = load(options.config_path, os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 78
    return serve(options, config, build)


if __name__ == "__main__":
    sys.exit(main())
