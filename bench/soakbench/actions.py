"""What clients do, one action each: everything that the protocol offers, and what goes wrong with
networks and people."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.soakbench import prompts
from bench.soakbench.client import SoakClient
from bench.soakbench.projects import Passing, Projects

Answer = dict[str, Any]

SINCE_S = 20
SLOW_S = (1.0, 8.0)
STOP_AFTER_S = (0.1, 1.5)
ANSWERS_SHARE = 0.3  # of the clients that see a question
ANSWER_AFTER_S = (0.0, 1.0)
PAGES_MAX = 4
READY_S = 60.0
AGAIN_SHARE = 0.15
DELETE_TRIES = 100
TRY_AGAIN_S = 0.5


def _a_moment_ago() -> str:
    """Return a time by the real clock; the hub's may stand elsewhere."""
    return (datetime.now(UTC) - timedelta(seconds=SINCE_S)).isoformat()


class Actions:
    """Each takes a client that is connected and does nothing else."""

    def __init__(self, projects: Projects, chance: random.Random, prefix: str) -> None:
        self._projects = projects
        self._chance = chance
        self._prefix = prefix
        self._keys = 0
        self._answering: set[asyncio.Task[None]] = set()
        self._weights: list[tuple[Callable[[SoakClient], Awaitable[None]], int]] = [
            (self.execute, 50),
            (self.join_elsewhere, 10),
            (self.leave_and_return, 8),
            (self.read_pages, 10),
            (self.watch, 4),
            (self.small_requests, 8),
            (self.read_slowly, 4),
            (self.drop, 5),
            (self.new_session, 2),
            (self.change_project, 3),
        ]

    def choose(self) -> Callable[[SoakClient], Awaitable[None]]:
        actions, weights = zip(*self._weights, strict=True)
        return self._chance.choices(actions, weights)[0]

    # -- executions

    async def execute(self, client: SoakClient) -> None:
        """Run a prompt; stop it, send its key again, or do neither."""
        project_id = self._projects.any(self._chance)
        prompt = prompts.choose(self._chance)
        self._keys += 1
        key = f"{self._prefix}-{self._keys}"
        payload: Answer = {"project_id": project_id, "prompt": prompt.text, "key": key}
        if prompt.timeout_seconds is not None:
            payload["options"] = {"timeout_seconds": prompt.timeout_seconds}
        client.ledger.done[f"prompts: {prompt.kind}"] += 1
        answer = await self._send_prompt(client, key, payload)
        if answer is None:  # nobody knows whether it runs: it is sent again, as the protocol says
            await self._until_ready(client)
            answer = await self._send_prompt(client, key, payload)
        elif self._chance.random() < AGAIN_SHARE:
            await self._send_prompt(client, key, payload)
        if prompt.stop is not None and answer is not None and answer["type"] == "result":
            await asyncio.sleep(self._chance.uniform(*STOP_AFTER_S))
            execution_id = answer["payload"]["execution_id"]
            await client.request(prompt.stop, project_id=project_id, execution_id=execution_id)

    async def _send_prompt(self, client: SoakClient, key: str, payload: Answer) -> Answer | None:
        answer = await client.request("execute", **payload)
        if answer is not None and answer["type"] == "result":
            execution_id = answer["payload"]["execution_id"]
            client.ledger.book.accepted(payload["project_id"], key, execution_id)
        return answer

    def take_update(self, client: SoakClient, update: Answer) -> None:
        """Answer some of the questions that a client sees, often twice."""
        if update["update_type"] != "permission_request":
            return
        if self._chance.random() < ANSWERS_SHARE:
            task = asyncio.create_task(self._answer(client, update))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, client: SoakClient, update: Answer) -> None:
        await asyncio.sleep(self._chance.uniform(*ANSWER_AFTER_S))
        await client.request(
            "permission_answer",
            project_id=update["project_id"],
            permission_id=update["data"]["permission_id"],
            decision=self._chance.choice(("allow", "allow", "deny")),
        )

    async def new_session(self, client: SoakClient) -> None:
        await client.request("agent_new_session", project_id=self._projects.any(self._chance))

    # -- subscriptions

    async def join_elsewhere(self, client: SoakClient) -> None:
        """Join a project in one of the other ways, perhaps one that is joined already."""
        project_id = self._projects.any(self._chance)
        way = self._chance.randrange(4)
        if way == 0:
            await client.join(project_id, last=self._chance.randrange(300))
        elif way == 1:
            await client.join(project_id, ephemeral=False)
        elif way == 2:
            await client.join(project_id, since=_a_moment_ago(), ephemeral=False)
            await client.leave(project_id)
        else:
            await client.join(project_id)

    async def leave_and_return(self, client: SoakClient) -> None:
        joined = [s.project_id for s in client.streams.values() if s.is_joined]
        if joined:
            project_id = self._chance.choice(joined)
            await client.leave(project_id)
            await asyncio.sleep(self._chance.uniform(0, 2))
            await client.join(project_id)

    async def watch(self, client: SoakClient) -> None:
        await client.request("watch")
        await asyncio.sleep(self._chance.uniform(0, 5))
        await client.request("unwatch")

    async def read_slowly(self, client: SoakClient) -> None:
        """Read nothing for a while."""
        client.ledger.done["slow readers"] += 1
        client.stop_reading()
        await asyncio.sleep(self._chance.uniform(*SLOW_S))
        client.go_on_reading()

    async def drop(self, client: SoakClient) -> None:
        client.ledger.done["dropped connections"] += 1
        client.drop()
        await self._until_ready(client)

    # -- reading

    async def read_pages(self, client: SoakClient) -> None:
        """Read some pages of a history, forwards, and look whether they follow each other."""
        project_id = self._projects.any(self._chance)
        after = self._chance.randrange(500)
        for _ in range(PAGES_MAX):
            limit = self._chance.randint(1, 300)
            answer = await client.request(
                "get_messages", project_id=project_id, after_seq=after, limit=limit
            )
            if answer is None or answer["type"] == "error":
                return
            page = answer["payload"]
            client.ledger.done["messages in pages"] += len(page["messages"])
            for update in page["messages"]:
                if update.get("seq") != after + 1:
                    client.ledger.findings.note(
                        "hole", f"a page of {project_id} has {update.get('seq')} behind {after}"
                    )
                after = update.get("seq", after + 1)
                client.ledger.records.seen(client.name, page["log_id"], update)
            if not page["more"]:
                return

    async def small_requests(self, client: SoakClient) -> None:
        kind = self._chance.choice(("ping", "health_check", "project_list"))
        await client.request(kind)

    # -- projects

    async def change_project(self, client: SoakClient) -> None:
        """Delete a passing project, or make one."""
        place = self._chance.choice(self._projects.passing)
        if place.is_changing:
            return
        place.is_changing = True
        try:
            if place.is_there:
                await self._delete(client, place)
            else:
                await self.create(client, place)
        finally:
            place.is_changing = False

    async def create(self, client: SoakClient, place: Passing) -> None:
        place.is_there = await self.make(client, place.project_id)

    async def make(self, client: SoakClient, project_id: str) -> bool:
        """Make a project, or find that it is there; return False if that has failed."""
        path = self._projects.folder(project_id)
        for _ in range(DELETE_TRIES):
            answer = await client.request("project_create", path=path, project_id=project_id)
            if answer is not None and answer["payload"].get("code") in (None, "project_exists"):
                return True
            await asyncio.sleep(TRY_AGAIN_S)
            await self._until_ready(client)
        client.ledger.findings.note("stuck", f"{project_id} cannot be made: {answer}")
        return False

    async def _delete(self, client: SoakClient, place: Passing) -> None:
        """Delete it until the hub says that it is gone. Without its history it never comes back."""
        keeps, project_id = self._chance.random() < 0.5, place.project_id
        for _ in range(DELETE_TRIES):
            answer = await client.request(
                "project_delete", project_id=project_id, keep_history=keeps
            )
            if answer is not None:
                code = answer["payload"].get("code")
                if answer["type"] == "result" or code == "project_not_found":
                    break
            await asyncio.sleep(TRY_AGAIN_S)
            await self._until_ready(client)
        else:
            client.ledger.findings.note("stuck", f"{project_id} cannot be deleted: {answer}")
        place.is_there = False
        if not keeps:
            place.renew()
            client.ledger.book.forget(project_id)

    async def _until_ready(self, client: SoakClient) -> None:
        try:
            await asyncio.wait_for(client.is_ready.wait(), READY_S)
        except TimeoutError:
            client.ledger.findings.note("stuck", f"{client.name} cannot connect again")

    async def idle(self) -> None:
        """Wait for the answers to questions that are under way."""
        if self._answering:
            await asyncio.wait(self._answering)
