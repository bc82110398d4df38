"""Whether a prompt may run (its options, room for what it will write), and its record."""

from collections.abc import Sequence
from pathlib import Path

from actors.project.run_queue import Execution
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.requests import Options
from protocol.updates import PromptData
from storage.errors import FolderOutsideRoots, FolderRefused
from storage.layout import free_bytes, resolve_folder


def checked_options(
    options: Options, *, roots: Sequence[Path], kept_from: Path, timeout_max_s: float
) -> Options:
    """The options with folders resolved. Raises RequestRefused (`invalid_options`)."""
    if options.timeout_seconds is not None and options.timeout_seconds > timeout_max_s:
        raise _invalid_option("timeout_seconds", f"at most {timeout_max_s:g} (EXEC_TIMEOUT)")
    if options.add_dirs is None:
        return options
    try:
        folders = [str(resolve_folder(path, roots, kept_from)) for path in options.add_dirs]
    except (FolderRefused, FolderOutsideRoots) as error:
        raise _invalid_option("add_dirs", str(error)) from None
    return options.model_copy(update={"add_dirs": folders})


def _invalid_option(name: str, message: str) -> RequestRefused:
    field = f"payload.options.{name}"
    return RequestRefused(ErrorCode.INVALID_OPTIONS, f"{field}: {message}", {"field": field})


def check_free_space(folder: Path, min_free_bytes: int) -> None:
    """Raises HubFault (`storage_failed`) below MIN_FREE_BYTES: running executions shall finish."""
    try:
        free = free_bytes(folder)
    except OSError as error:
        raise HubFault(ErrorCode.STORAGE_FAILED, f"the data folder: {error}") from None
    if free < min_free_bytes:
        raise HubFault(
            ErrorCode.STORAGE_FAILED,
            f"only {free} bytes are free where the log is kept (MIN_FREE_BYTES)",
        )


def prompt_data(execution: Execution, asked: Options) -> PromptData:
    """The `prompt` update: the options as they were asked for, and who asked."""
    caller = execution.caller
    return PromptData(
        execution_id=execution.execution_id,
        prompt=execution.prompt,
        content=execution.content,
        options=asked.model_dump(exclude_none=True),
        key=caller.key,
        client_id=caller.client_id,
        user=caller.user,
    )
