"""docs/client.md names everything that programs may use of the library."""

import dataclasses
import inspect
import re

import pytest

import claudehub
from claudehub.client.errors import Failure
from tests.harness import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text()
CODE = set(re.findall(r"\w+", " ".join(re.findall(r"(?ms)^```.*?^```|`[^`]+`", PAGE))))
PARTS = [claudehub.Hub, claudehub.Project, claudehub.Execution, claudehub.Updates]
KINDS = [
    kind
    for kind in (getattr(claudehub, name) for name in claudehub.__all__ if name != "testing")
    if inspect.isclass(kind) and issubclass(kind, claudehub.Update)
]


def names_of(part: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(part) if not name.startswith("_")}


def test_the_page_has_every_public_name() -> None:
    # The list of QueuedPrompt is the protocol's; claudehub.testing has words of its own.
    assert set(claudehub.__all__) - CODE <= {"QueuedPrompt", "testing"}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_the_page_has_every_method(part: type) -> None:
    assert names_of(part) - CODE == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_has_every_field_of_an_update(kind: type) -> None:
    fields = {field.name for field in dataclasses.fields(kind)}
    assert fields - CODE == set()


def test_the_page_has_every_failure() -> None:
    assert {failure.name for failure in Failure} - CODE == set()


@pytest.mark.parametrize(
    "method",
    [
        claudehub.connect,
        claudehub.Hub.create,
        claudehub.Project.answer,
        claudehub.Project.delete,
        claudehub.Project.execute,
        claudehub.Project.follow,
        claudehub.Project.history,
    ],
    ids=lambda method: method.__name__,
)
def test_the_page_has_every_parameter(method: object) -> None:
    assert callable(method)
    assert set(inspect.signature(method).parameters) - CODE <= {"self"}
