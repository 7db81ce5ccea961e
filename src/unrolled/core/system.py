"""The process and the machine: settings that speed training up; memory, cores and time that are available.

The command line applies the settings; importing never does. Figures come from Linux's /proc and control groups where
there are any, elsewhere from what POSIX knows.
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
# Where no clock tells when the process began: the work until here, which was done on one thread, took about as long.
_BEFORE, _IMPORTED = time.process_time(), time.monotonic()


def tune() -> bool:
    """Keep freed memory in the process: glibc otherwise maps and unmaps every large array anew, thousands of
    page faults a step. Returns whether the C library took it (glibc only)."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)) and bool(
            libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        )
    except (OSError, AttributeError):
        return False


def memory_left() -> int:
    """Bytes this process may still take: the least that its address space, control group and machine leave."""
    left = [address_space_left()]
    for limit, key in (("memory.max", "anon"), ("memory/memory.limit_in_bytes", "total_rss")):
        for group in (_CGROUP, _CGROUP / _own_group()):
            text = _read(group / limit).strip()
            if text.isdigit():  # cached files do not count: they give way
                left.append(int(text) - _entry((group / limit).with_name("memory.stat"), key))
    available = _entry(Path("/proc/meminfo"), "MemAvailable:") * 1024
    left.append(available or os.sysconf("SC_PHYS_PAGES") * _PAGE - peak_bytes())
    return max(0, min(left))


def address_space_left() -> int:
    """Bytes this process may still map; more than any machine has where there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int((_read(Path("/proc/self/statm")).split() or ["0"])[0]) * _PAGE
    return 1 << 62 if soft == resource.RLIM_INFINITY else max(0, soft - mapped)


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cores() -> int:
    """Physical cores this process may run on, or as many as its control group grants time on."""
    if sys.platform != "linux":
        return max(1, os.cpu_count() or 1)
    allowed = os.sched_getaffinity(0)
    siblings = {
        _read(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")) for cpu in allowed
    }
    count = len(allowed) if siblings == {""} else min(len(allowed), len(siblings))
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit():
        count = min(count, -(-int(quota) // int(period)))
    return max(1, count)


def process_age() -> float:
    """Seconds since this process began."""
    known = _BEFORE + time.monotonic() - _IMPORTED
    fields = _read(Path("/proc/self/stat")).rpartition(")")[2].split()
    up = _read(Path("/proc/uptime")).split()
    if not fields or not up:
        return known
    age = float(up[0]) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return age if age >= 0 else known  # a container may have an uptime of its own, shorter than the machine's


def _own_group() -> str:
    """The path of this process's control group (version 2) below the mount point."""
    lines = (line for line in _read(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::/"))
    return next(lines, "0::/").removeprefix("0::/")


def _entry(path: Path, key: str) -> int:
    """The number after `key` in a table of lines; 0 where there is none."""
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
    """Let torch, where it is loaded, compute on one thread: a single row is not worth two, which on a busy machine
    wait for each other at every step."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
