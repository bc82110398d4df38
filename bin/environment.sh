# Sourced by the launchers, with $root set. Sets $venv to an environment that has what is needed:
# `prepare run` to run the program, `prepare dev` to test it.

venv=${CLAUDEHUB_VENV:-$root/.venv}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$python" >/dev/null 2>&1 &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    echo "claudehub: Python 3.11 or later was not found; install it first" >&2
    echo "  Debian, Ubuntu: sudo apt install python3 python3-venv    macOS: brew install python" >&2
    exit 1
}

prepare() {
    # The stamp is a copy of what the environment was made from, written last.
    if ! cmp -s "$root/setup.cfg" "$venv/.claudehub-$1" || ! [ -x "$venv/bin/python" ]; then
        find_python
        "$python" "$root/bin/set_up.py" "$root" "$venv" "$1" || exit $?
    fi
}
