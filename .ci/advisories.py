"""Run pip-audit on the running environment; exit with 1 if a package has a known vulnerability.
A failed look-up, as behind a mirror without advisories, is reported and is not a failure.
"""

import subprocess
import sys

import simplejson

TIMEOUT_S = 300


def main() -> None:
    command = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    done = subprocess.run(  # noqa: S603 - our own words
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    try:
        found = simplejson.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"advisories: NOT LOOKED UP: {done.stderr.strip()[-300:]}")
        return
    skipped = [package["name"] for package in found if "skip_reason" in package]
    holes = [package for package in found if package.get("vulns")]
    print(f"advisories: {len(found) - len(skipped)} packages looked up, {len(holes)} with holes")
    if skipped:
        print(f"advisories: NOT LOOKED UP, since the index has none: {len(skipped)} packages")
    for package in holes:
        ids = ", ".join(hole["id"] for hole in package["vulns"])
        print(f"  {package['name']} {package['version']}: {ids}")
    if holes:
        sys.exit(1)


if __name__ == "__main__":
    main()
