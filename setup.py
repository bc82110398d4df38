"""What setup.cfg cannot say: a package holds the commit that it was built from."""

import subprocess
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
COMMIT = Path("claudehub") / "COMMIT"
COMMIT_CHARACTERS = 12


def commit() -> str:
    """Return the commit of the checkout, or the one that a source distribution holds; empty without
    git."""
    if (ROOT / COMMIT).is_file():
        return (ROOT / COMMIT).read_text().strip()
    try:
        done = subprocess.run(  # noqa: S603 - git, whichever the builder has
            ["git", "rev-parse", f"--short={COMMIT_CHARACTERS}", "HEAD"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


class BuildWithCommit(build_py):
    """Write the file into the build, never into the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode and commit():
            (Path(self.build_lib) / COMMIT).write_text(f"{commit()}\n")


class SourceWithCommit(sdist):
    """Write the file into the source distribution."""

    def make_release_tree(self, base_dir: str, files: Any) -> None:
        super().make_release_tree(base_dir, files)
        if commit():
            (Path(base_dir) / COMMIT).write_text(f"{commit()}\n")


setup(cmdclass={"build_py": BuildWithCommit, "sdist": SourceWithCommit})
