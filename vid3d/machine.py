"""What this process may use of the machine."""

import os


def usable_cores() -> int:
    """CPU cores that this process may run on, and no more than OMP_NUM_THREADS allows."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(allowed)) if allowed.isdecimal() and int(allowed) else cores
