"""How the machine is: what a MachineCheck tells beside the hub's health."""

import os
from pathlib import Path
from typing import Any

import psutil

from actors.watch.room import room_problem

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
# Above so many processes that want to run on each core, what runs takes noticeably longer.
LOAD_PER_CORE_MAX = 4.0
# Below so much of the memory, the kernel may soon end processes.
MEMORY_LEFT_MIN_PERCENT = 5.0


def machine_checks(data_folder: Path, min_free_bytes: int) -> dict[str, dict[str, Any]]:
    """Return one object for each part of the machine; its `status` says how that is."""
    return {"cpu": _cpu(), "memory": _memory(), "disk": _disk(data_folder, min_free_bytes)}


def _cpu() -> dict[str, Any]:
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    is_loaded = load > LOAD_PER_CORE_MAX * cores
    return {"status": DEGRADED if is_loaded else HEALTHY, "cores": cores, "load": round(load, 2)}


def _memory() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    left_percent = 100 * memory.available / memory.total
    return {
        "status": HEALTHY if left_percent >= MEMORY_LEFT_MIN_PERCENT else DEGRADED,
        "total_bytes": memory.total,
        "available_bytes": memory.available,
    }


def _disk(folder: Path, min_free_bytes: int) -> dict[str, Any]:
    problem = room_problem(folder, max(min_free_bytes, 1))
    try:
        disk = psutil.disk_usage(str(folder))
    except OSError as error:
        return {"status": UNHEALTHY, "problem": str(error)}
    return {
        "status": HEALTHY if problem is None else UNHEALTHY,
        "total_bytes": disk.total,
        "free_bytes": disk.free,
    }
