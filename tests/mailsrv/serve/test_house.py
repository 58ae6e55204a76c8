"""The services of a process: every worker of a data_dir has the same secret, and it is nobody else's to read."""

import os
import threading
from pathlib import Path

from mailsrv.serve.house import read_secret
from mailsrv.system.disk import Disk


def test_the_secret_is_made_once_whoever_comes_first(tmp_path: Path) -> None:
    seen: list[bytes] = []
    workers = [threading.Thread(target=lambda: seen.append(read_secret(Disk(), str(tmp_path)))) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(seen)) == 1
    assert len(seen[0]) == 32
    assert read_secret(Disk(), str(tmp_path)) == seen[0]
    assert os.stat(tmp_path / "secret").st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]
