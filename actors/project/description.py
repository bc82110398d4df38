"""The `project` object of replies."""

from actors.project.run_queue import RunQueue
from protocol.updates import ProjectInfo, ProjectStatus, QueuedPrompt
from storage.message_log import Bounds
from storage.projects import ProjectMeta

QUEUE_PREVIEW_LENGTH = 200


def describe(
    meta: ProjectMeta, bounds: Bounds, queue: RunQueue, *, status: ProjectStatus, subscribers: int
) -> ProjectInfo:
    """A project as it is now."""
    return ProjectInfo(
        project_id=meta.project_id,
        name=meta.name,
        path=meta.path,
        status=status,
        session_id=meta.session_id,
        execution_id=queue.running.execution_id if queue.running else None,
        queue=[
            QueuedPrompt(
                execution_id=execution.execution_id,
                prompt=execution.prompt[:QUEUE_PREVIEW_LENGTH],
                client_id=execution.caller.client_id,
            )
            for execution in queue.waiting
        ],
        pending_permissions=[],
        subscribers=subscribers,
        first_seq=bounds.first_seq,
        last_seq=bounds.last_seq,
        created_at=meta.created_at,
        last_active=meta.last_active,
    )
