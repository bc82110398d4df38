"""The executor: one actor a project, which runs the CLI."""

from actors.executor.actor import Executor

__all__ = ["Executor"]
