"""How long the disk takes to make a record durable: every prompt and every answer waits for it."""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

from actors.doctor.finding import Finding, Setup, ok, warning
from actors.doctor.refusals import of_error
from storage import sync_timing
from storage.log_state import SyncPolicy
from storage.usable import nearest

MEASURING_MAX_S = 3.0
SLOW_S = 0.05


def sync_time(setup: Setup) -> Iterator[Finding]:
    folder = nearest(Path(setup.config.data_dir))
    if not os.access(folder, os.W_OK | os.X_OK):
        yield warning(f"not measured: {folder} cannot be written", "run this as the hub's user")
        return
    try:
        times = sync_timing.sync_times(folder, setup.clock.monotonic, MEASURING_MAX_S)
    except OSError as error:
        yield of_error(f"nothing can be written to {folder}: {error.strerror}", error, folder)
        return
    median_s, longest_s = statistics.median(times), max(times)
    said = (
        f"{1000 * median_s:.2f} ms to flush 4 KiB (longest {1000 * longest_s:.1f} of {len(times)})"
    )
    if median_s <= SLOW_S:
        yield ok(said)
    elif setup.config.log_sync is SyncPolicy.ALWAYS:
        yield warning(
            f"{said}: every prompt and every batch of lines waits for that",
            "DATA_DIR on a faster disk, or LOG_SYNC=interval (docs/message-log.md)",
        )
    else:
        yield ok(f"{said}, with LOG_SYNC={setup.config.log_sync}")
