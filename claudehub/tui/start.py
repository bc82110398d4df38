"""Connect to a hub, and show a view until the user leaves."""

import asyncio
from pathlib import Path

from claudehub import aio
from claudehub.client.errors import RequestRefused
from claudehub.tui.app import ClaudehubApp


def attach(url: str | None, key: Path | None, project: str) -> None:
    """Show a project, by its id or its folder. Raises HubError if it cannot be shown."""
    asyncio.run(_attach(url, key, project))


def watch(url: str | None, key: Path | None) -> None:
    """Show all projects. Raises HubError if there is no hub."""
    asyncio.run(_watch(url, key))


async def _attach(url: str | None, key: Path | None, name: str) -> None:
    async with aio.connect(url, key=key) as hub:
        try:
            project = await hub.project(name)
            await project.info()  # an id that is not known is refused before the screen is taken
        except RequestRefused as error:
            known = {"projects": [info.id for info in await hub.projects()]}
            raise RequestRefused(error.code, error.message, {**error.details, **known}) from None
        await ClaudehubApp(hub, project).run_async()


async def _watch(url: str | None, key: Path | None) -> None:
    async with aio.connect(url, key=key) as hub:
        await ClaudehubApp(hub).run_async()
