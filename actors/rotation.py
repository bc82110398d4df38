"""What the Rotator is told at its start."""

from dataclasses import dataclass

from storage.layout import DataLayout
from storage.segments import Compression


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """MSG_ROTATE_DAYS, LOG_RETAIN_DAYS, LOG_RETAIN_BYTES (0 keeps all) and LOG_COMPRESS."""

    layout: DataLayout
    rotate_days: int
    retain_days: int
    retain_bytes: int
    compression: Compression
