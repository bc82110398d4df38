"""The metadata of new projects, and of projects that cannot be opened."""

from pathlib import Path

from protocol.requests import ProjectCreate
from protocol.updates import ProjectInfo, ProjectStatus
from storage.projects import ProjectMeta


def new_meta(
    request: ProjectCreate, project_id: str, path: Path, now: str, kept: ProjectMeta | None
) -> ProjectMeta:
    """Return the metadata of a new project. With a kept history its log and its numbers continue;
    its session does not."""
    name = request.name if request.name is not None else path.name
    given = {
        "name": name,
        "last_active": now,
        "session_id": None,
        "fresh": not request.continue_,
        "trusted": request.trusted,  # the folder may hold something else by now
    }
    if kept is not None:
        return kept.model_copy(update=given)
    return ProjectMeta(project_id=project_id, path=str(path), created_at=now, **given)


def placeholder_meta(project_id: str, now: str) -> ProjectMeta:
    """Return metadata for a project whose own cannot be read; its folder is unknown."""
    return ProjectMeta(
        project_id=project_id, name=project_id, path="", created_at=now, last_active=now
    )


def error_info(meta: ProjectMeta) -> ProjectInfo:
    """Return the entry of a project that cannot work, for a list."""
    return ProjectInfo(
        project_id=meta.project_id,
        name=meta.name,
        path=meta.path,
        status=ProjectStatus.ERROR,
        session_id=meta.session_id,
        execution_id=None,
        queue=[],
        pending_permissions=[],
        subscribers=0,
        first_seq=1,
        last_seq=0,
        created_at=meta.created_at,
        last_active=meta.last_active,
        trusted=meta.trusted is True,
    )
