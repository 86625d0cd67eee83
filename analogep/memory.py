"""How much memory is free, so that what cannot fit is refused with its size before the machine is brought down."""

from __future__ import annotations

import os
from pathlib import Path

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def free_bytes() -> float:
    """Return about how many bytes this process may still take; infinite where the system does not say."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024.0 * float(line.split()[1]))
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            found.append(float(limit) - float(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError, IndexError):  # another system, or none of these limits
        pass
    if not found:
        try:
            found.append(float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES")))
        except (AttributeError, OSError, ValueError):
            return float("inf")
    return min(found)


def size_text(count: float) -> str:
    """Return a number of bytes for a message."""
    power = 0
    while count >= 1000.0 and power < len(_UNITS) - 1:
        count, power = count / 1000.0, power + 1
    return f"{count:.3g} {_UNITS[power]}"


def too_large(count: float) -> str | None:
    """Return what is wrong with taking about so many bytes, ``None`` if they are free."""
    if count < 1e8:  # not worth the look
        return None
    free = free_bytes()
    return f"needs about {size_text(count)} of memory, and {size_text(free)} are free" if count > free else None
