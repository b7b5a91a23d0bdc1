"""Whether a process that a record names still trains."""

import os
from typing import Any

import psutil


def trains(pid: Any) -> bool:
    """Whether another process of this machine has that number, and is Python: numbers are used again."""
    try:
        if not isinstance(pid, int) or pid == os.getpid():
            return False
        process = psutil.Process(pid)
        return "python" in process.name().lower() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
