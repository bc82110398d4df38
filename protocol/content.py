"""Content blocks: what a prompt may hold beside text. An instance is valid.

The model gets exactly what was sent, so a block that the API would refuse is refused here, before
anything runs.
"""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

BLOCK_TYPES = ("text", "image", "document")


def _base64(value: str) -> str:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    if not decoded:
        raise ValueError("must not be empty")
    return value


Base64 = Annotated[
    str,
    AfterValidator(_base64),
    Field(json_schema_extra={"contentEncoding": "base64", "minLength": 1}),
]
# A lone surrogate is valid JSON, but no file or terminal can hold it. pydantic reads a text with a
# constraint as UTF-8, and refuses a lone surrogate (`string_unicode`).
Text = Annotated[str, Field(min_length=0)]


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ImageSource(_Block):
    """The bytes of an image."""

    type: Literal["base64"]
    media_type: Literal["image/gif", "image/jpeg", "image/png", "image/webp"]
    data: Base64


class DocumentSource(_Block):
    """The bytes of a document."""

    type: Literal["base64"]
    media_type: Literal["application/pdf", "text/plain"]
    data: Base64


class TextBlock(_Block):
    """Text in a prompt."""

    type: Literal["text"]
    text: Annotated[Text, Field(min_length=1)]


class ImageBlock(_Block):
    """An image in a prompt."""

    type: Literal["image"]
    source: ImageSource


class DocumentBlock(_Block):
    """A document in a prompt."""

    type: Literal["document"]
    source: DocumentSource


# A named type, so that the JSON Schema gives it a definition of its own.
ContentBlock = TypeAliasType(
    "ContentBlock",
    Annotated[TextBlock | ImageBlock | DocumentBlock, Field(discriminator="type")],
)
Content = Annotated[list[ContentBlock], Field(min_length=1)]


def as_sent(content: Content) -> list[dict[str, Any]]:
    """Return the blocks as JSON objects, for the log and for the CLI."""
    return [block.model_dump() for block in content]


def text_of(content: Content) -> str:
    """Return the text of the blocks, for a preview."""
    return "\n".join(block.text for block in content if isinstance(block, TextBlock))
