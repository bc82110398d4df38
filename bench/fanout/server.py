"""Start one server of a servers file in a scratch folder of its own, and end it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the server did not get ready")
        time.sleep(0.05)


@contextlib.contextmanager
def running(spec, checkout="."):
    """Yield (url, pid, fanload options) of a server that is ready."""
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()

        def fill(text):
            places = {
                "port": port,
                "checkout": checkout,
                "scratch": scratch,
                "python": sys.executable,
            }
            for key, value in places.items():
                text = text.replace("{%s}" % key, str(value))
            return text

        p = subprocess.Popen(
            [fill(x) for x in spec["cmd"]],
            env={**os.environ, **spec.get("env", {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until(lambda: listens(port), 120)
            if "ready" in spec:
                wait_until(lambda: os.path.exists(fill(spec["ready"])), 60)
            time.sleep(0.2)
            yield (
                f"ws://127.0.0.1:{port}{spec.get('path', '/')}",
                p.pid,
                [fill(x) for x in spec.get("args", [])],
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGTERM if "ready" in spec else signal.SIGKILL)
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
