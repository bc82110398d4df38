"""What the system refuses, as a finding with what mends it."""

import errno
from pathlib import Path

from actors.doctor.finding import Finding, fault

_LACKING = {
    errno.EMFILE: "ulimit -n 65536 (docs/tuning.md)",
    errno.ENFILE: "sysctl -w fs.file-max=1000000",
    errno.ENOMEM: "ulimit -v unlimited; free -m",
    errno.EAGAIN: "ulimit -u; ulimit -v (docs/tuning.md)",
}


def of_error(text: str, error: OSError, folder: Path | None = None) -> Finding:
    """Return a fault of the system. `folder` is what was used, unless the error names it."""
    place = folder or error.filename or "/"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return fault(text, f"df -h {place}; delete something")
    if error.errno == errno.EROFS:
        return fault(text, f"mount -o remount,rw the file system of {place}")
    return fault(text, _LACKING.get(error.errno or 0, f"ls -ld {place}"))


def no_thread(error: Exception) -> Finding:
    """Return the fault of a system that has no more threads or memory for this program."""
    return fault(f"the system gives no more threads or memory: {error}", _LACKING[errno.EAGAIN])
