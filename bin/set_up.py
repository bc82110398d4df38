"""Make the virtual environment of a checkout from its setup.cfg; standard library only.

    set_up.py CHECKOUT VENV run|dev|fuzz|audit

Two may start at once: the second waits. An interrupted run does no harm: the stamp that says "done"
comes last, and the next run continues.
"""

import configparser
import fcntl
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path

LINES_SHOWN_ON_FAILURE = 30
NETWORK_TIMEOUT_S = 1.5
EXTRAS = {
    "run": ("tui",),
    "dev": ("tui", "otel", "dev"),
    "fuzz": ("tui", "dev", "fuzz"),
    "audit": ("tui", "dev", "audit"),
}


def say(text: str) -> None:
    print(f"claudehub: {text}", file=sys.stderr, flush=True)


def requirements(setup_cfg: Path, kind: str) -> list[str]:
    """Return the requirements in setup.cfg as pip wants them."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(setup_cfg.read_text("utf-8"))
    text = config["options"]["install_requires"]
    for extra in EXTRAS[kind]:
        text += "\n" + config["options.extras_require"][extra]
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def check_python() -> None:
    """Exit with advice if venv or pip is missing: Debian and Ubuntu package them apart."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            say(f"{sys.executable} comes without {module}; install it first")
            say(f"  Debian, Ubuntu: sudo apt install python3-venv (or python{version}-venv)")
            say("  Fedora: sudo dnf install python3-pip")
            sys.exit(1)


def make_venv(folder: Path) -> None:
    """Make an environment, unless a complete one exists."""
    half_made = folder / ".claudehub-half-made"
    if half_made.exists() or (is_ours(folder) and not has_python(folder)):
        shutil.rmtree(folder)
    if has_python(folder):
        return
    check_python()
    check_network()
    folder.mkdir(parents=True, exist_ok=True)
    half_made.touch()
    say(f"making {folder} with Python {sys.version.split()[0]}")
    try:
        venv.EnvBuilder(with_pip=True, symlinks=True).create(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        say(f"that failed: {error}")
        check_python()
        sys.exit(1)
    half_made.unlink()


def has_python(folder: Path) -> bool:
    return (folder / "bin" / "python").exists() and (folder / "pyvenv.cfg").exists()


def check_network() -> None:
    """Exit with one line if the package index is out of reach: pip would try for a minute first.

    An index of one's own, or a proxy, is left to pip.
    """
    host = index_host()
    if host is None:
        return
    try:
        socket.create_connection((host, 443), NETWORK_TIMEOUT_S).close()
    except TimeoutError:
        pass  # slow, perhaps; pip waits longer
    except OSError as error:
        reason = error.strerror or error
        say(f"{host} is out of reach ({reason}): connect to a network, and start again")
        sys.exit(1)


def index_host() -> str | None:
    """Return the host of the package index, or None if pip's settings name an index or a proxy."""
    proxies = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    if any(os.environ.get(name) for name in (*proxies, "PIP_NO_INDEX", "PIP_INDEX_URL")):
        return None
    home = Path.home()
    files = [
        Path(os.environ.get("PIP_CONFIG_FILE", os.devnull)),
        Path(os.environ.get("XDG_CONFIG_HOME", home / ".config")) / "pip" / "pip.conf",
        home / ".pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
    ]
    own = re.compile(r"^\s*(index-url|no-index|proxy)\s*=", re.MULTILINE)
    for file in files:
        if file.is_file() and own.search(file.read_text("utf-8", "replace")):
            return None
    return "pypi.org"


def is_ours(folder: Path) -> bool:
    return any(folder.glob(".claudehub-*"))


def install(folder: Path, wanted: list[str]) -> None:
    """Run pip and show its progress; if it fails, show its whole output."""
    say(f"installing {len(wanted)} packages and what they need (once)")
    command = [
        str(folder / "bin" / "python"),
        "-P",  # a folder pip/ in the current folder must not run
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar=off",
        *wanted,
    ]
    said = []
    with subprocess.Popen(  # noqa: S603 - pip, and what setup.cfg says
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line)
            if line.startswith(("Collecting", "Installing", "Building")):
                say("  " + line.split(" from ")[0].split(" (")[0].strip()[:100])
    if pip.returncode:
        sys.stderr.writelines(said[-LINES_SHOWN_ON_FAILURE:])
        say("the installation failed; pip's words are above. Starting again goes on.")
        sys.exit(1)


def main() -> None:
    root, folder, kind = Path(sys.argv[1]), Path(sys.argv[2]).absolute(), sys.argv[3]
    setup_cfg = root / "setup.cfg"
    stamp = folder / f".claudehub-{kind}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is setting up; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        wanted_text = setup_cfg.read_text("utf-8")
        if has_python(folder) and stamp.exists() and stamp.read_text("utf-8") == wanted_text:
            return
        make_venv(folder)
        install(folder, requirements(setup_cfg, kind))
        for done in ("run", *EXTRAS[kind]):  # with what tests it, it runs too
            new = folder / ".claudehub-new"
            new.write_text(wanted_text, "utf-8")
            new.replace(folder / f".claudehub-{done}")
        say("ready")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("interrupted; the next start goes on")
        sys.exit(130)
    except OSError as error:
        say(f"the set-up failed: {error}")
        sys.exit(1)
