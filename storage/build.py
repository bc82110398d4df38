"""Which commit this program was built from."""

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
# In a wheel, setup.py writes it.
_COMMIT_FILE = _ROOT / "claudehub" / "COMMIT"
_COMMIT_CHARACTERS = 12


def commit() -> str | None:
    """Return the commit that a wheel was built from, or the one of this checkout."""
    try:
        return _COMMIT_FILE.read_text("utf-8").strip()
    except OSError:
        return _checked_out(_ROOT / ".git")


def _checked_out(git: Path) -> str | None:
    """Read the present commit as git stores it, without running git: it may not be there."""
    try:
        if git.is_file():  # a worktree
            git = Path(git.read_text("utf-8").removeprefix("gitdir:").strip())
        head = (git / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref: "):
            return head[:_COMMIT_CHARACTERS]
        name = head.removeprefix("ref: ")
        common = git / "commondir"
        base = git / common.read_text("utf-8").strip() if common.is_file() else git
        loose = base / name
        if loose.is_file():
            return loose.read_text("utf-8").strip()[:_COMMIT_CHARACTERS]
        for line in (base / "packed-refs").read_text("utf-8").splitlines():
            if line.endswith(f" {name}"):
                return line[:_COMMIT_CHARACTERS]
    except (OSError, ValueError):
        return None
    return None
