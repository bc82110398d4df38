"""The `project` object of replies."""

from actors.project.runs import Runs
from protocol.updates import ProjectInfo, ProjectStatus, QueuedPrompt
from storage.message_log import Bounds
from storage.projects import ProjectMeta

QUEUE_PREVIEW_LENGTH = 200


def describe(
    meta: ProjectMeta,
    bounds: Bounds,
    runs: Runs,
    *,
    status: ProjectStatus,
    subscribers: int,
) -> ProjectInfo:
    """A project as it is now."""
    queue = runs.queue
    return ProjectInfo(
        project_id=meta.project_id,
        name=meta.name,
        path=meta.path,
        status=status,
        session_id=meta.session_id,
        execution_id=queue.active.execution_id if queue.active else None,
        queue=[
            QueuedPrompt(
                execution_id=execution.execution_id,
                prompt=execution.text[:QUEUE_PREVIEW_LENGTH],
                client_id=execution.caller.client_id,
            )
            for execution in queue.waiting
        ],
        pending_permissions=runs.permissions.pending,
        subscribers=subscribers,
        first_seq=bounds.first_seq,
        last_seq=bounds.last_seq,
        created_at=meta.created_at,
        last_active=meta.last_active,
    )
