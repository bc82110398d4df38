"""Make the picture of `claudehub attach` from a session with a real hub and the mock CLI.

python -m tests.attach_picture > docs/pictures/attach.svg
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import claudehub
from claudehub.tui.attach_screen import AttachScreen
from tests.document_session import mock_calls
from tests.harness import TIMEOUT_S, HubProcess
from tests.test_live_pictures import PaintedApp

SIZE = (92, 34)
# The picture shows where the project is. It must not be there, and is removed again.
ROOTS = Path("/tmp/src")
CHANGELOG = "# Changes\n\n## 1.4.2, not released\n\n- Routes end in a slash\n"
EDIT = {
    "file_path": "CHANGELOG.md",
    "old_string": "## 1.4.2, not released\n",
    "new_string": "## 1.4.2, 23 November 2026\n",
}
# What the mock does for each prompt.
PHRASES = {
    "What is left": mock_calls("Bash", command="ls dist", description="see what is built")
    + "[[after:The packages are built. Left are the **date in the changelog**, and the tag.]]",
    "Set the date": mock_calls("Edit", **EDIT) + "[[after:The changelog has today's date.]]",
    "Tag it": mock_calls(
        "Bash", command="git tag v1.4.2 && git push --tags", description="Publish the tag"
    ),
}
PROMPTS = ("What is left to do before the release?", "Set the date", "Tag it, and push the tag")


def make_folder() -> Path:
    folder = ROOTS / "site"
    (folder / "dist").mkdir(parents=True)
    for name in ("site-1.4.2-py3-none-any.whl", "site-1.4.2.tar.gz"):
        (folder / "dist" / name).touch()
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    return folder


def make_key(scratch: Path, owner: str) -> Path:
    """Make an SSH key whose owner the hub knows by this name."""
    key = scratch / owner
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", owner, "-f", key]
    subprocess.run(command, check=True)
    with (scratch / "keys").open("a") as keys:
        keys.write(key.with_suffix(".pub").read_text())
    return key


async def picture(url: str, folder: Path, laptop: Path, phone: Path) -> str:
    """Return the picture of a session in which the agent asks for something."""
    async with (
        claudehub.aio.connect(url, key=laptop) as hub,
        claudehub.aio.connect(url, key=phone) as other,
    ):
        site = await hub.create(folder, "site")
        *before, last = PROMPTS
        for prompt in before:
            assert await (await site.execute(prompt)).wait(TIMEOUT_S) == "success"
        app = PaintedApp(hub, site)
        async with app.run_test(size=SIZE) as pilot, asyncio.timeout(TIMEOUT_S):
            execution = await (await other.project("site")).execute(last)
            while not (isinstance(app.screen, AttachScreen) and app.screen.panel.is_armed):
                await pilot.pause(0.05)
            svg = app.export_screenshot()
        await execution.kill()
    return svg


def main() -> None:
    ROOTS.mkdir()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        (scratch / "phrases.json").write_text(json.dumps(PHRASES))
        laptop, phone = make_key(scratch, "ann@laptop"), make_key(scratch, "ann@phone")
        hub_process = HubProcess(
            scratch,
            CLAUDE_MOCK_PHRASES=str(scratch / "phrases.json"),
            PROJECT_ROOTS=str(ROOTS),
            AUTHORIZED_KEYS=str(scratch / "keys"),
        )
        hub_process.start()
        try:
            svg = asyncio.run(picture(hub_process.url, make_folder(), laptop, phone))
        finally:
            hub_process.stop()
            shutil.rmtree(ROOTS)
        # The font would come from another host.
        sys.stdout.write(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


if __name__ == "__main__":
    main()
