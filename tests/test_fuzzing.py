"""The targets of tests/fuzzing with their good inputs, with some thousand mutations of these, and
with everything that was ever found."""

import random

import pytest

from tests.fuzzing.found import FOUND
from tests.fuzzing.targets import TARGETS

MUTATIONS = 400


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA_DIR", "WS_PORT", "CLAUDE_CMD", "SOCKET"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_its_good_inputs(name: str) -> None:
    for given in TARGETS[name].seeds:
        TARGETS[name].run(given)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_survives_mutations(name: str) -> None:
    target, chooser = TARGETS[name], random.Random(7)
    for _ in range(MUTATIONS):
        target.run(mutated(chooser, chooser.choice(target.seeds), chooser.choice(target.seeds)))


@pytest.mark.parametrize(("name", "given"), FOUND)
def test_inputs_found_by_fuzzing_stay_mended(name: str, given: bytes) -> None:
    TARGETS[name].run(given)


def mutated(chooser: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chooser.randrange(1, 6)):
        at = chooser.randrange(len(changed) + 1)
        match chooser.randrange(5):
            case 0:
                changed[at : at + 1] = chooser.randbytes(1)
            case 1:
                del changed[at : at + chooser.randrange(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + chooser.randrange(1, 30)]
            case 3:
                changed[at:at] = other[: chooser.randrange(1, 40)]
            case _:
                changed[at:at] = chooser.choice((b"\0", b"\xff\xfe", b"-1", b"1e999", b'"', b"\n"))
    return bytes(changed)
