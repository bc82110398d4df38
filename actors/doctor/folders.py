"""The folders of the hub: whose they are, who may look into them, and what they lie on."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from actors.doctor.finding import Finding, Level, Setup, fault, ok, warning
from actors.doctor.refusals import of_error
from storage import data_version as versions
from storage import disk, mounts
from storage.errors import DiskFailed, NewerData
from storage.usable import check_usable, nearest

ROOM_FACTOR = 2
_RESTORE = "restore it from a backup (docs/how-to/backup.md)"
_GIB = 1 << 30
# File systems of a network: a lock or a sync may mean less there than on a disk.
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "virtiofs")
_GONE_AT_BOOT = ("tmpfs", "ramfs")


def data_folder(setup: Setup) -> Iterator[Finding]:
    folder = Path(setup.config.data_dir)
    findings = list(_of_data_folder(folder))
    if not any(finding.level is Level.FAULT for finding in findings):
        try:
            with contextlib.suppress(DiskFailed):  # data_version says so
                check_usable(folder)
        except OSError as error:
            findings = [of_error(f"{folder} cannot be used: {error}", error, folder)]
    yield from findings


def _of_data_folder(folder: Path) -> Iterator[Finding]:
    try:
        found = folder.stat()
    except FileNotFoundError:
        yield from _to_be_made(folder)
        return
    except OSError as error:
        yield fault(
            f"{folder} cannot be looked at: {error.strerror}",
            "let this user enter the folders above it",
        )
        return
    if not stat.S_ISDIR(found.st_mode):
        yield fault(
            f"{folder} is not a folder", "set DATA_DIR to a folder, or to a path where nothing is"
        )
        return
    findings = [*_access(folder, found), *_file_system(folder)]
    yield from findings or [ok(f"{folder}, mode {stat.S_IMODE(found.st_mode):04o}{_on(folder)}")]


def _to_be_made(folder: Path) -> Iterator[Finding]:
    parent = nearest(folder)
    if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
        yield ok(f"{folder} is not there yet; the hub makes it{_on(parent)}")
        yield from _file_system(parent)
    else:
        yield fault(
            f"{folder} is not there, and {parent} cannot be written",
            f"install -d -m 700 -o $(id -un) {folder}, as root",
        )


def _access(folder: Path, found: os.stat_result) -> Iterator[Finding]:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        yield fault(
            f"{folder} belongs to uid {found.st_uid}, and this is uid {os.geteuid()}",
            f"run this as that user, or chown -R $(id -u) {folder}",
        )
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield fault(f"{folder} cannot be written", f"chmod 700 {folder}")
    if mode & 0o077:
        yield warning(
            f"{folder} has mode {mode:04o}: others can look into it", f"chmod 700 {folder}"
        )


def _file_system(folder: Path) -> Iterator[Finding]:
    mount = mounts.mount_of(folder)
    if mount is None:
        return
    if mount.is_read_only:
        yield fault(
            f"{folder} lies on {mount.point}, which is read-only",
            f"mount -o remount,rw {mount.point}, as root, or set DATA_DIR to another folder",
        )
    if mount.kind in _GONE_AT_BOOT:
        yield warning(
            f"{folder} lies on {mount.kind} ({mount.point}): it is gone after a boot",
            "set DATA_DIR to a folder on a disk",
        )
    elif mount.kind in _REMOTE:
        yield warning(
            f"{folder} lies on {mount.kind} ({mount.point}): a lock or a flush may not hold",
            "set DATA_DIR to a folder on a local disk",
        )


def _on(folder: Path) -> str:
    mount = mounts.mount_of(folder)
    return "" if mount is None else f", on {mount.kind}"


def data_version(setup: Setup) -> Iterator[Finding]:
    """Look at the version of the data, and at the id: a hub finds by it what an earlier one left
    running."""
    folder = Path(setup.config.data_dir)
    try:
        version = versions.check_version(folder)
    except NewerData as error:
        yield fault(
            str(error).partition(": a newer")[0], "install the newer version (docs/upgrade.md)"
        )
        return
    except DiskFailed as error:
        yield fault(str(error), _RESTORE)
        return
    except OSError as error:
        yield fault(f"the version cannot be read: {error}", "run this as the hub's user")
        return
    if version is None:
        yield ok("new: the hub writes it at its first start")
    elif version < versions.DATA_VERSION:
        yield warning(
            f"the data has version {version}; the next start takes it over to "
            f"{versions.DATA_VERSION}, and no older program can use it then",
            f"cp -a {folder} /a/backup (docs/upgrade.md)",
        )
    else:
        yield ok(f"version {version}")
    yield from _id(folder / "id")


def _id(file: Path) -> Iterator[Finding]:
    try:
        text = file.read_bytes().strip()
    except FileNotFoundError:
        return
    except OSError as error:
        yield fault(f"{file} cannot be read: {error.strerror}", f"chmod 600 {file}")
        return
    if len(text) != 16 or any(byte not in b"0123456789abcdef" for byte in text):
        yield fault(f"{file} is damaged: it should hold 16 hex digits", _RESTORE)


def project_roots(setup: Setup) -> Iterator[Finding]:
    bad = False
    for root in setup.config.project_roots:
        for wanted, what in ((os.R_OK | os.X_OK, "read"), (os.W_OK, "written")):
            if not os.access(root, wanted):
                bad = True
                yield warning(
                    f"{root} cannot be {what} by this user",
                    f"chmod u+rwx {root}, if it is this user's; or take it out of PROJECT_ROOTS",
                )
                break
        if root == "/":
            bad = True
            yield warning(
                "PROJECT_ROOTS is /: a project may lie anywhere", "PROJECT_ROOTS=/home/me/src"
            )
    if not bad:
        yield ok(":".join(setup.config.project_roots))


def space(setup: Setup) -> Iterator[Finding]:
    """Look at the free space: below MIN_FREE_BYTES the hub takes no prompt."""
    folder = nearest(Path(setup.config.data_dir))
    least = setup.config.min_free_bytes
    free = disk.free_bytes(folder)
    said = f"{free / _GIB:.1f} GiB free at {folder}"
    remedy = f"df -h {folder}; delete something, or set MIN_FREE_BYTES, LOG_RETAIN_DAYS"
    if free < least:
        yield fault(f"{said}; below {least / _GIB:.1f} GiB no prompt is taken", remedy)
    elif free < ROOM_FACTOR * least:
        yield warning(f"{said}; below {least / _GIB:.1f} GiB no prompt is taken", remedy)
    else:
        yield ok(said)
    if (inodes := os.statvfs(folder)).f_files and not inodes.f_favail:
        yield fault(f"no inode is free at {folder}", f"df -i {folder}; delete files")
