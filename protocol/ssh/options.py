"""The options before a key in authorized_keys (sshd(8)): who may use it, until when, for what."""

import contextlib
import ipaddress
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from protocol.fields import PROJECT_ID_PATTERN
from protocol.rights import Rights
from protocol.ssh.wire import SshError

OWN_OPTION = "claudehub"
_OPTION = re.compile(r'([A-Za-z0-9@.-]+)(?:="((?:[^"\\]|\\.)*)")?\Z', re.ASCII)
_TIME_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """`sources` are address patterns, none for any address; `expires_at` is in UTC. `is_authority`:
    the key is not used itself, but signs certificates. `principals` are the names of which a
    certificate must have one; None: the name of the user that the hub runs as."""

    rights: Rights = field(default=Rights())
    sources: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    is_authority: bool = False
    principals: frozenset[str] | None = None

    def admits(self, address: str | None) -> bool:
        """Return True if the key may be used from that address."""
        return self.sources is None or matches_any(self.sources, address)

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at


def parse_options(text: str) -> KeyOptions:
    """Return comma-separated options. Raises SshError for an unknown option: it may have been meant
    to restrict."""
    options, seen = KeyOptions(), set()
    for part in _split(text, ","):
        if (match := _OPTION.match(part)) is None:
            raise SshError(f"the option {part[:64]!r} cannot be read")
        name, value = match[1].lower(), (match[2] or "").replace('\\"', '"')
        if name in seen:
            raise SshError(f"the option {name!r} is repeated; the key is not used")
        seen.add(name)
        if name == "expiry-time":
            options = replace(options, expires_at=_time(value))
        elif name == "from":
            options = replace(options, sources=patterns(value))
        elif name == "cert-authority" and match[2] is None:
            options = replace(options, is_authority=True)
        elif name == "principals":
            options = replace(options, principals=_principals(value))
        elif name == OWN_OPTION:
            options = replace(options, rights=_rights(value))
        else:
            raise SshError(f"the option {name!r} is not understood; the key is not used")
    if options.principals is not None and not options.is_authority:
        raise SshError('principals="…" is for a cert-authority; the key is not used')
    return options


def split_options(line: str) -> tuple[str, str]:
    """Return the options of a line, up to the first white space outside of quotes, and the rest."""
    first = next(iter(_split(line, " \t")), "")
    return first, line[len(first) :].strip()


def _split(text: str, separators: str) -> list[str]:
    """Split at separators outside of double quotes."""
    parts, quoted, begin, at = [], False, 0, 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] == '"':
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] in separators and not quoted:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    return [*parts, text[begin:]]


def _time(value: str) -> datetime:
    """Return a local time, or UTC with a `Z`."""
    digits = value.removesuffix("Z")
    try:
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError
        moment = datetime.strptime(digits, _TIME_FORMATS[len(digits)])  # noqa: DTZ007 - said next
        if value.endswith("Z"):
            return moment.replace(tzinfo=UTC)
        return moment.astimezone().astimezone(UTC)
    except (ValueError, KeyError, OverflowError):
        example = 'expiry-time="20271231" or "202712312359Z"'
        raise SshError(f"expiry-time {value[:32]!r} is no time; example: {example}") from None


def _principals(value: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in value.split(",") if part.strip())
    if not names:
        raise SshError('principals="" names nobody; example: principals="ann,bob"')
    return names


def patterns(value: str) -> tuple[str, ...]:
    """Return a list of addresses, written as for `from`. Raises SshError."""
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise SshError('from="" names no address; example: from="10.0.0.0/8,!10.0.0.1"')
    for pattern in found:
        if "/" in pattern:
            try:
                ipaddress.ip_network(pattern.removeprefix("!"))
            except ValueError as error:
                raise SshError(f"from: {error}") from None
    return found


def matches_any(sources: tuple[str, ...], address: str | None) -> bool:
    """Return True if an address matches. `!` before a pattern excludes it, whatever else
    matches."""
    if address is None:
        return False
    if any(_matches(p[1:], address) for p in sources if p.startswith("!")):
        return False
    return any(_matches(p, address) for p in sources if not p.startswith("!"))


def _matches(pattern: str, address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 6 and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if "/" in pattern:
        return found in ipaddress.ip_network(pattern)
    with contextlib.suppress(ValueError):  # 2001:db8:0::1 and 2001:db8::1 are one address
        return found == ipaddress.ip_address(pattern)
    wildcard = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wildcard, str(found), re.IGNORECASE) is not None


def _rights(value: str) -> Rights:
    """Return the rights that `projects=a,b;read-only` names; either part may stand alone."""
    rights, seen = Rights(), set()
    for part in value.split(";"):
        name, equals, names = part.strip().partition("=")
        if name in seen:
            raise SshError(f"{OWN_OPTION}: {name[:64]!r} is there twice")
        seen.add(name)
        if name == "read-only" and not equals:
            rights = replace(rights, read_only=True)
        elif name == "projects" and equals:
            rights = replace(rights, projects=frozenset(_project(n) for n in names.split(",")))
        else:
            example = f'{OWN_OPTION}="projects=site,docs;read-only"'
            raise SshError(f"{part.strip()[:64]!r} is no right; example: {example}")
    return rights


def _project(name: str) -> str:
    name = name.strip()
    if not re.match(PROJECT_ID_PATTERN + r"\Z", name):
        raise SshError(f"projects: {name[:64]!r} is no project's id")
    return name
