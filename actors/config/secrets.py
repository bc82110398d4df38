"""Take secrets out of a setting before somebody sees it.

A command and an address may hold them: `env API_KEY=… claude`, `--token …`, `https://me:…@host`.
"""

import os
import re
from collections.abc import Mapping

HIDDEN = "***"
_TELLING = (
    r"(?:api|access|auth|private|secret|session|signing)?[-_.]?"
    r"(?:keys?|tokens?|secrets?|passw(?:or)?d|passwd|passphrase|pass|pwd|pat|credentials?|auth"
    r"|authorization|bearer|cookies?|signature|sig|jwt|headers?)"
)
_BEGIN = r"(?<![a-z0-9])"
_END = r"(?![a-z0-9])"
_WORD = r"(\"[^\"]*\"|'[^']*'|[^\s,;'\"]+)"
# A name that tells of a secret, with `=`, `:` or a space behind it, and the secret. A scheme of
# authentication may stand before the secret itself.
_NAMED = re.compile(
    rf"(?i)({_BEGIN}[a-z0-9_.-]*?{_TELLING}{_END}[\"']?\s*[=:]\s*)(?:(bearer|basic|token)\s+)?{_WORD}"
)
# The same inside quotes, which end it.
_QUOTED = re.compile(
    rf"(?i)([\"'])([^\"']*?{_BEGIN}[a-z0-9_.-]*?{_TELLING}{_END}\s*[=:]\s*)[^\"']*\1"
)
_OPTION = re.compile(rf"(?i)((?:^|\s)--?[a-z0-9-]*?{_TELLING}\s+)(?!-){_WORD}")
_SCHEME = re.compile(rf"(?i)(\b(?:bearer|basic)\s+){_WORD}")
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@")
# Keys and tokens that are known by how they begin.
_KNOWN = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{8,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[a-z]-[\w-]{8,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{8,}\.[\w.-]+)"
)
# A long word of letters and digits that is no path and no plain word.
_RANDOM = re.compile(
    r"(?<![\w/.+-])(?=[A-Za-z0-9_+=-]*[0-9])(?=[A-Za-z0-9_+=-]*[A-Za-z])[A-Za-z0-9_+=-]{32,}"
    r"(?![\w/.+-])"
)

_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
# A shorter value would be found in words that are none.
VALUE_CHARS_MIN = 6


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names tell of a secret, the longest first: one may be
    in another. Paths are none."""
    found = {
        value
        for name, value in environment.items()
        if _VARIABLE.search(name) and len(value) >= VALUE_CHARS_MIN and not os.path.isabs(value)
    }
    return sorted(found, key=len, reverse=True)


def without_known_secrets(text: str) -> str:
    """Return the text with `***` for what can be nothing but a secret: known kinds of keys, what
    stands behind Bearer or Basic, and who logs in to an address."""
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)


def without_secrets(text: str) -> str:
    """Return the text with `***` for what is, or may be, a secret."""
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUOTED.sub(rf"\1\2{HIDDEN}\1", text)
    text = _NAMED.sub(_hide_named, text)
    text = _OPTION.sub(rf"\1{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    text = _KNOWN.sub(HIDDEN, text)
    return _RANDOM.sub(HIDDEN, text)


def _hide_named(found: re.Match[str]) -> str:
    scheme = f"{found[2]} " if found[2] else ""
    return f"{found[1]}{scheme}{HIDDEN}"
