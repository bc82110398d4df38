"""Take secrets out of a setting before somebody sees it.

A command and an address may hold them: `env API_KEY=… claude`, `--token …`, `https://me:…@host`.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

import simplejson

from actors.config.key_blocks import without_key_blocks
from actors.config.settings import Config

HIDDEN = "***"
_TELLING = (
    r"(?:api|access|auth|private|secret|session|signing)?[-_.]?"
    r"(?:keys?|tokens?|secrets?|passw(?:or)?d|passwd|passphrase|pass|pwd|pat|credentials?|auth"
    r"|authorization|bearer|cookies?|signature|sig|jwt|headers?)"
)
# A name is looked at from its beginning only: from each of its parts, the time would grow with the
# square of its length. For the same reason, what may be long below has a limit.
_BEGIN = r"(?<![a-z0-9_.-])"
_END = r"(?![a-z0-9])"
_WORD = r"(\"[^\"]*\"|'[^']*'|[^\s,;'\"]+)"
# A name that tells of a secret, with `=`, `:` or a space behind it, and the secret. A scheme of
# authentication may stand before the secret itself.
_NAMED = re.compile(
    rf"(?i)((?P<name>{_BEGIN}[a-z0-9_.-]*?{_TELLING}){_END}(?P<sign>[\"']?\s*[=:]\s*))"
    rf"(?:(?P<scheme>bearer|basic|token)\s+)?(?P<value>{_WORD})"
)
# The same inside quotes, which end it.
_QUOTED = re.compile(
    rf"(?i)([\"'])(?=[^\"']*+\1)([^\"']*?(?P<name>{_BEGIN}[a-z0-9_.-]*?{_TELLING}){_END}\s*[=:]\s*)"
    rf"(?P<value>[^\"']*)\1"
)
_OPTION = re.compile(rf"(?i)((?:^|\s)--?(?P<name>[a-z0-9-]*?{_TELLING})\s+)(?!-)(?P<value>{_WORD})")
_SCHEME = re.compile(rf"(?i)(\b(?:bearer|basic)\s+){_WORD}")
# People write passwords with a slash, too; `://host:8080/…@` is a port and a path.
_USER = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)(?:[^\s/@'\"]+|[^\s/@'\":]*:(?!\d{1,5}/)[^\s'\"@]{1,256})@"
)
# Keys and tokens that are known by how they begin. Types of SSH keys begin like some of them.
_KNOWN = re.compile(
    r"\b(?:sk-(?!(?:ssh-ed25519|ecdsa-sha2-nistp256)(?:-cert-v01)?(?![\w-]))[A-Za-z0-9_-]{8,}"
    r"|gh[opsur]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|(?:hf|npm|[sr]k_live|[sr]k_test)_[A-Za-z0-9]{16,}|pypi-[\w-]{16,}|AIza[\w-]{16,}"
    r"|xox[a-z]-[\w-]{8,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{8,2000}+\.[\w.-]+)"
)
_LONG = re.compile(r"[A-Za-z0-9_+/=-]{32,}")
_CHARS_MIN = 32
# Of a random text in base64, 62 % of the letters and digits differ in kind from the one before; of
# a path or of words far fewer.
_CHANGES_MIN = 0.35
_KINDS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_WORD_OF = re.compile(r"[A-Za-z0-9]+")

# What stands behind a name that tells of a secret, and is none: a file, or a number of things.
_FILE = re.compile(r"(?:(?:~|\.\.?)/[\w.@-]+|/[\w.@-]+/[\w.@-]+)(?:/[\w.@-]+)*/?")
_NUMBER = re.compile(r"[0-9]+")
_COUNTED = re.compile(r"(?:keys|tokens|secrets|credentials|cookies|headers)\Z", re.IGNORECASE)
_PASSWORD = re.compile(r"(?:passw(?:or)?d|passwd|passphrase|pass|pwd)\Z", re.IGNORECASE)
_SETTINGS = frozenset(Config.model_fields)

_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|COOKIE|HEADERS", re.IGNORECASE)
# `Name: value` or `name=value`, on lines or behind commas.
_HEADERS = re.compile(r"HEADERS\Z", re.IGNORECASE)
_HEADER = re.compile(r"[^=:,\s]+\s*[=:]\s*([^,\n]+)")
_PASSWORD_OF_URL = re.compile(r"://[^\s/@:]*:([^\s@]+)@")
# A shorter value would be found in words that are none.
VALUE_CHARS_MIN = 6


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names tell of a secret, the longest first: one may be
    in another. Paths, numbers of things and the hub's own settings are none."""
    found: set[str] = set()
    for name, value in environment.items():
        if _HEADERS.search(name):
            found.update(header.strip() for header in _HEADER.findall(value))
        found.update(_PASSWORD_OF_URL.findall(value))
        if _VARIABLE.search(name) and not os.path.isabs(value) and not _is_no_secret(name, value):
            found.add(value)
    long = {value for value in found if len(value) >= VALUE_CHARS_MIN}
    forms = {form for value in long for form in _forms(value) if len(form) >= VALUE_CHARS_MIN}
    return sorted(forms, key=len, reverse=True)


def _forms(value: str) -> set[str]:
    """Return a value as it stands in texts: as it is, in JSON, in Python's and in an address."""
    in_json = {simplejson.dumps(value, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    plain = unquote(value)
    return {value, *in_json, repr(value)[1:-1], quote(value, safe=""), plain}


def without_known_secrets(text: str) -> str:
    """Return the text with `***` for what can be nothing but a secret: blocks and known kinds of
    keys, what stands behind Bearer or Basic, and who logs in to an address."""
    text = without_key_blocks(text, HIDDEN)
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)


def without_secrets(text: str) -> str:
    """Return the text with `***` for what is, or may be, a secret."""
    text = without_key_blocks(text, HIDDEN)
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUOTED.sub(_hide_quoted, text)
    text = _NAMED.sub(_hide_named, text)
    text = _OPTION.sub(_hide_option, text)
    text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    text = _KNOWN.sub(HIDDEN, text)
    return _LONG.sub(_hide_random, text)


def _hide_quoted(found: re.Match[str]) -> str:
    if _is_no_secret(found["name"], found["value"]):
        return found[0]
    return f"{found[1]}{found[2]}{HIDDEN}{found[1]}"


def _hide_named(found: re.Match[str]) -> str:
    at = found.start()
    # `/etc/hub.key: Permission denied` names a file.
    is_file = found.string[at - 1 : at] == "/" and found["sign"][:2] == ": "
    if is_file or _is_no_secret(found["name"], found["value"]):
        return found[0]
    scheme = f"{found['scheme']} " if found["scheme"] else ""
    return f"{found[1]}{scheme}{HIDDEN}"


def _hide_option(found: re.Match[str]) -> str:
    if _is_no_secret(found["name"], found["value"]):
        return found[0]
    return f"{found[1]}{HIDDEN}"


def _is_no_secret(name: str, value: str) -> bool:
    """Return True for a value that a telling name does not make a secret."""
    value = value.strip("\"'")
    if value == HIDDEN or (name.lower() in _SETTINGS and len(value.split()) == 1):
        return True
    if _NUMBER.fullmatch(value):
        return _COUNTED.search(name) is not None
    is_file = _FILE.fullmatch(value) is not None and not _is_mixed(value)
    return is_file and _PASSWORD.search(name) is None


def _hide_random(found: re.Match[str]) -> str:
    """Hide a long word of letters and digits that is no path and no plain word."""
    word, at, end = found[0], found.start(), found.end()
    around = found.string[max(0, at - 1) : at] + found.string[end : end + 1]
    is_part = any(char in "/+" for char in word) or any(c == "." or c.isalnum() for c in around)
    if not is_part and any(map(str.isdecimal, word)) and any(map(str.isalpha, word)):
        return HIDDEN
    parts = [part for part in word.split("/") if len(part) >= _CHARS_MIN]
    return HIDDEN if any(map(_is_mixed, [word, *parts])) else word


def _is_mixed(word: str) -> bool:
    """Return True if small letters, capital letters and digits change as often as in a random
    text."""
    parts = _WORD_OF.findall(word)
    pairs = sum(len(part) - 1 for part in parts)
    changes = sum(len(_KINDS.findall(part)) - 1 for part in parts)
    has_both = any(map(str.islower, word)) and any(map(str.isupper, word))
    return has_both and changes >= _CHANGES_MIN * pairs
