"""A digest of a prompt, to recognise the same prompt when a client sends it again."""

import hashlib
from typing import Any

from protocol import codec


def prompt_digest(prompt: str | None, content: Any, options: dict[str, Any]) -> str:
    """Return the same for the same prompt (or content blocks) with the same options."""
    return hashlib.sha256(codec.dumps([prompt, content, options])).hexdigest()
