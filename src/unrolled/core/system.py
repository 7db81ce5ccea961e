"""The process and the machine: settings for fast training, and the available memory, cores and time.

Only the command line applies the settings; an import never does. On Linux, the numbers come from /proc and
from the control groups; elsewhere they come from POSIX functions.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CGROUP = Path("/sys/fs/cgroup")
# For systems without the start time of a process. Up to here, one thread was working, so its CPU time is the
# age.
_BEFORE, _IMPORTED = time.process_time(), time.monotonic()


def tune() -> bool:
    """Keep freed memory in the process. Return whether this succeeded (glibc only).

    By default, glibc maps and unmaps each large array, which costs thousands of page faults per step.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)) and bool(
            libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        )
    except (OSError, AttributeError):
        return False


def memory_left() -> int:
    """Return the number of bytes that this process can still allocate.

    It is the smallest of the limits of the address space, the control groups and the machine.
    """
    left = [address_space_left()]
    for limit, key in (("memory.max", "anon"), ("memory/memory.limit_in_bytes", "total_rss")):
        for group in (_CGROUP, _CGROUP / _own_group()):
            text = _read(group / limit).strip()
            if text.isdigit():  # without cached files, because the system can drop them
                left.append(int(text) - _entry((group / limit).with_name("memory.stat"), key))
    available = _entry(Path("/proc/meminfo"), "MemAvailable:") * 1024
    left.append(available or os.sysconf("SC_PHYS_PAGES") * _PAGE - peak_bytes())
    return max(0, min(left))


def address_space_left() -> int:
    """Return the number of bytes that this process can still map; 2^62 if there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int((_read(Path("/proc/self/statm")).split() or ["0"])[0]) * _PAGE
    return 1 << 62 if soft == resource.RLIM_INFINITY else max(0, soft - mapped)


def peak_bytes() -> int:
    """Return the peak memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cores() -> int:
    """Return the number of physical cores that this process may use.

    The limits of its control group and of the environment variable OMP_NUM_THREADS apply.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    most = int(wanted) if wanted.isdecimal() and int(wanted) > 0 else 1 << 16
    if sys.platform != "linux":
        return max(1, min(most, os.cpu_count() or 1))
    allowed = os.sched_getaffinity(0)
    siblings = {
        _read(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")) for cpu in allowed
    }
    count = len(allowed) if siblings == {""} else min(len(allowed), len(siblings))
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit():
        count = min(count, -(-int(quota) // int(period)))
    return max(1, min(most, count))


def process_age() -> float:
    """Return the seconds since this process started."""
    known = _BEFORE + time.monotonic() - _IMPORTED
    fields = _read(Path("/proc/self/stat")).rpartition(")")[2].split()
    up = _read(Path("/proc/uptime")).split()
    if not fields or not up:
        return known
    age = float(up[0]) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return age if age >= 0 else known  # a container can report its own uptime, which is shorter


def _own_group() -> str:
    """Return the path of the control group (version 2) of this process, relative to the mount point."""
    lines = (line for line in _read(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::/"))
    return next(lines, "0::/").removeprefix("0::/")


def _entry(path: Path, key: str) -> int:
    """Return the number after `key` in a file with one entry per line; 0 if there is none."""
    for line in _read(path).splitlines():
        words = line.split()
        if words[:1] == [key]:
            return int(words[1])
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def one_thread() -> None:
    """Limit torch to one thread, if it is loaded.

    For a single row, two threads are not faster. On a busy machine they wait for each other at every step.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
