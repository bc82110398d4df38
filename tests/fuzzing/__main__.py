"""`python -m tests.fuzzing [--inputs N] [--seed S] [TARGET …]`: by coverage, each target in its own
process, as many at a time as there are cores; ends with 1 where something was found, and says where
the input lies.

Needs atheris (setup.cfg, extra `fuzz`).
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

INPUT_BYTES_MAX = 2048
INPUT_TIMEOUT_S = 20
MEMORY_MB_MAX = 2048
# Where inputs are kept that were found.
FOUND = "CLAUDEHUB_FOUND"
ROOT = Path(__file__).resolve().parent.parent.parent


@click.command()
@click.argument("names", nargs=-1)
@click.option("--inputs", default=20_000, help="In all, shared out over the targets.")
@click.option("--seed", default=1, help="Of the mutations.")
@click.option("--only", hidden=True, help="One target, in this process.")
def main(names: tuple[str, ...], inputs: int, seed: int, only: str | None) -> None:
    if only is not None:
        fuzz(only, inputs, seed)
        return
    from tests.fuzzing.targets import TARGETS

    chosen = {name: TARGETS[name].weight for name in names or TARGETS}
    shares = {name: inputs * weight // sum(chosen.values()) for name, weight in chosen.items()}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda item: run_apart(*item, seed), shares.items()))
    if not all(results):
        sys.exit(1)
    click.echo(f"{sum(shares.values())} inputs to {len(shares)} targets, nothing found")


def run_apart(name: str, inputs: int, seed: int) -> bool:
    """Fuzz one target in a process of its own; return True if it found nothing."""
    options = ["--inputs", str(inputs), "--seed", str(seed), "--only", name]
    with tempfile.TemporaryDirectory() as scratch:  # libFuzzer ends a process without clearing up
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzzing", *options],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch, FOUND: tempfile.gettempdir()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    # libFuzzer may run a few more than it is asked for.
    done_runs = re.search(r"^Done (\d+) runs", done.stdout, re.MULTILINE)
    ran = done_runs is not None and int(done_runs[1]) >= inputs
    click.echo(f"{name}: {inputs} inputs" if ran and done.returncode == 0 else done.stdout[-4000:])
    return ran and done.returncode == 0


def fuzz(name: str, inputs: int, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["actors", "protocol", "storage"]):
        from tests.fuzzing.targets import TARGETS

    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, given in enumerate(target.seeds):
            (Path(corpus) / f"{number}").write_bytes(given)
        found = Path(os.environ[FOUND]) / f"claudehub-found-{name}-"
        settings = [
            f"-runs={inputs}",
            "-reload=0",  # the corpus is this process's alone; reading it again adds runs at random
            f"-seed={seed}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-timeout={INPUT_TIMEOUT_S}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-artifact_prefix={found}",
        ]
        atheris.Setup([sys.argv[0], *settings, corpus], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
