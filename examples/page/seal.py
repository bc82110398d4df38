#!/usr/bin/env python3
"""Bring index.html up to date after a change: examples/page/seal.py

The page's policy admits one script and one style, by the hashes of their texts. This writes the
hashes of the present ones into it, and copies ../browser-client/claudehub.js into the script.
"""

import base64
import hashlib
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "index.html"
CLIENT = HERE.parent / "browser-client" / "claudehub.js"
CLIENT_COPY = re.compile(r"(// ---- The client: [^\n]*\n).*?(?=// ---- The page ----\n)", re.DOTALL)
POLICY = re.compile(r'(?<=Content-Security-Policy" content=")[^"]*')


def digest(page: str, tag: str) -> str:
    """Return the hash of the only element `tag`, as a policy names it."""
    (text,) = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, re.DOTALL)
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def sealed(page: str, client: str) -> str:
    """Return the page with this client and a policy that fits."""
    page = CLIENT_COPY.sub(lambda found: f"{found[1]}{client}\n", page)
    script, style = digest(page, "script"), digest(page, "style")
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style};"
        " img-src data:; connect-src ws: wss: http: https:; base-uri 'none'; form-action 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return POLICY.sub(policy, page, count=1)


def main() -> None:
    PAGE.write_text(sealed(PAGE.read_text("utf-8"), CLIENT.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
