"""What the examples promise and can be seen without Node and a browser; .ci/examples runs them."""

import json
import re
from pathlib import Path

import pytest

from examples.page.seal import sealed
from tests.harness import ROOT

EXAMPLES = ROOT / "examples"
CLIENTS = [EXAMPLES / "node-client" / "client.js", EXAMPLES / "browser-client" / "claudehub.js"]
PAGE = EXAMPLES / "page" / "index.html"
README = EXAMPLES / "README.md"
LINES_BELOW = 120
PICTURE_BYTES_MAX = 150_000
# Ways from a string to HTML or code. The page's policy forbids them too.
UNSAFE = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "DOMParser",
    "srcdoc",
    "eval(",
    "new Function",
)


@pytest.mark.parametrize("path", CLIENTS, ids=lambda path: path.name)
def test_a_client_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < LINES_BELOW


def test_the_node_client_depends_on_one_package_in_one_version() -> None:
    package = json.loads((EXAMPLES / "node-client" / "package.json").read_text("utf-8"))
    assert list(package["dependencies"]) == ["ws"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", package["dependencies"]["ws"])
    imported = re.findall(r'^import .* from "([^"]+)";$', CLIENTS[0].read_text("utf-8"), re.M)
    assert [name for name in imported if not name.startswith("node:")] == ["ws"]


def test_the_browser_client_imports_nothing() -> None:
    assert "import" not in CLIENTS[1].read_text("utf-8")


def test_the_page_names_no_address_outside() -> None:
    page = PAGE.read_text("utf-8")
    assert set(re.findall(r"\b(?:https?|wss?)://[\w.-]+", page)) == {
        "http://127.0.0.1",  # what a person is told to write, or may
        "ws://127.0.0.1",
    }
    assert re.findall(r"\b(?:src|href)=\"([^\"]*)\"", page) == ["data:,"]
    assert not re.search(r"@import|url\(", page)


@pytest.mark.parametrize("way", UNSAFE)
def test_the_page_makes_no_html_out_of_text(way: str) -> None:
    assert way not in PAGE.read_text("utf-8")


def test_the_policy_fits_the_page_and_the_page_has_the_present_client() -> None:
    """`python3 examples/page/seal.py` mends it."""
    page = PAGE.read_text("utf-8")
    client = CLIENTS[1].read_text("utf-8")
    assert client in page
    assert sealed(page, client) == page


def test_the_policy_admits_only_the_script_and_the_style_of_the_page() -> None:
    page = PAGE.read_text("utf-8")
    changed = page.replace("const HISTORY = ", "const HISTORY =  ")
    client = CLIENTS[1].read_text("utf-8")
    assert sealed(changed, client).splitlines()[13] != page.splitlines()[13]
    policy = page.splitlines()[13]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy


def test_every_file_that_the_readme_names_exists() -> None:
    text = README.read_text("utf-8")
    linked = re.findall(r"\]\(([^)#]+)\)", text)
    titles = re.findall(r"^## (\S+\.\w+)$", text, re.M)
    assert len(linked) > 4 and len(titles) > 3
    missing = [name for name in linked + titles if not (EXAMPLES / name).exists()]
    assert missing == []


def test_every_example_is_in_the_readme() -> None:
    text = README.read_text("utf-8")
    entries = {path.name for path in EXAMPLES.iterdir() if not path.name.startswith(("_", "."))}
    assert {name for name in entries - {"README.md"} if f"\n## {name}" not in text} == set()


def test_the_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "pictures").glob("page-*.png"))
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > PICTURE_BYTES_MAX] == []
