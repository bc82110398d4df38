"""What is taken out of logs and settings before somebody sees them, and what stays."""

import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from actors.config.key_blocks import BLOCK_LINES_MAX
from actors.config.secrets import secret_values, without_known_secrets, without_secrets
from claudehub.cli.bundle_parts import Cleaner
from tests.growth import growth

PREFIX = "Nov 29 03:04:05 host claudehub[711]: "
PIECE_CHARS = 12
_ED25519_COUNT = 12


def private_keys() -> Iterator[str]:
    """Yield fresh keys, as OpenSSH and OpenSSL write them."""
    made = [ed25519.Ed25519PrivateKey.generate() for _ in range(_ED25519_COUNT)]
    others = [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())]
    for key in (*made, *others):
        for form in (PrivateFormat.OpenSSH, PrivateFormat.PKCS8):
            yield key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    for key in others:
        secretly = BestAvailableEncryption(b"hush")
        form = PrivateFormat.TraditionalOpenSSL
        yield key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        yield key.private_bytes(Encoding.PEM, form, secretly).decode()


KEYS = list(private_keys())


def content(key: str) -> list[str]:
    """Return the lines of a key without its marks and headers."""
    lines = [line for line in key.splitlines() if line and not re.search(r"-----|: ", line)]
    assert lines
    return lines


def left_of(key: str, text: str) -> list[str]:
    """Return the pieces of the key that a text has, also short ones."""
    return [
        piece
        for line in content(key)
        for piece in {line[:PIECE_CHARS], line[-PIECE_CHARS:]}
        if piece in text
    ]


def plain(key: str) -> str:
    return f"before\n{key}after\n"


def with_a_prefix(key: str) -> str:
    return "".join(f"{PREFIX}{line}\n" for line in ["before", *key.splitlines(), "after"])


def with_a_prefix_of_json(key: str) -> str:
    return "\n".join(
        json.dumps({"event": line, "level": "info"}) if ":" in line else f'{{"event": "{line}"'
        for line in ["before", *key.splitlines(), "after"]
    )


def in_one_line_of_json(key: str) -> str:
    return json.dumps({"event": "before", "error": key, "then": "after"})


def twice_in_json(key: str) -> str:
    return json.dumps({"before": json.dumps({"key": key}), "then": "after"})


def among_other_lines(key: str) -> str:
    mixed = [f"{line}\nevent=other port=8080 ended" for line in key.splitlines()]
    return "before\n" + "\n".join(mixed) + "\nafter"


Layout = Callable[[str], str]
LAYOUTS: list[Layout] = [
    plain,
    with_a_prefix,
    with_a_prefix_of_json,
    in_one_line_of_json,
    twice_in_json,
    among_other_lines,
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("hide", [without_secrets, without_known_secrets, Cleaner({}).clean])
def test_no_line_of_a_private_key_stays(layout: Layout, hide: Callable[[str], str]) -> None:
    for key in KEYS:
        cleaned = hide(layout(key))
        assert left_of(key, cleaned) == []
        assert "before" in cleaned and "after" in cleaned


@pytest.mark.parametrize("layout", [plain, with_a_prefix])
@pytest.mark.parametrize("hide", [without_secrets, without_known_secrets])
def test_no_line_stays_of_a_key_that_is_cut_off(layout: Layout, hide: Callable[[str], str]) -> None:
    for key in KEYS:
        lines = layout(key).splitlines()
        begin = next(number for number, line in enumerate(lines) if "BEGIN" in line)
        end = next(number for number, line in enumerate(lines) if "-----END" in line)
        last = hide("\n".join([*lines[begin + 1 :], "event=stopped port=8080"]))
        first = hide("\n".join(["event=started port=8080", *lines[:end]]))
        assert left_of(key, last) == [] and left_of(key, first) == []
        assert "event=stopped" in last and "event=started" in first


def test_no_part_stays_of_a_key_that_is_cut_off_in_a_line() -> None:
    for key in KEYS:
        line = in_one_line_of_json(key)
        middle = len(line) // 2
        assert left_of(key, without_known_secrets(line[:middle])) == []
        assert left_of(key, without_known_secrets(line[middle:])) == []


def test_a_long_line_of_a_key_is_hidden_without_its_block() -> None:
    """Of random text few lines in a million look like words."""
    for key in KEYS:
        whole = [line for line in content(key) if len(line) >= 64 and "AAAAAA" not in line]
        left = [line for line in whole if without_secrets(f"{PREFIX}{line}") != f"{PREFIX}***"]
        assert len(left) <= 1


def test_a_mark_alone_takes_no_other_line_away() -> None:
    said = "expected -----BEGIN CERTIFICATE-----"
    lines = [f"event=ended number={number} port=8080" for number in range(BLOCK_LINES_MAX + 9)]
    cleaned = without_secrets("\n".join([said, *lines, "-----END X-----"])).splitlines()
    assert cleaned[1:-1] == lines and cleaned[0] == "expected ***"


@pytest.mark.parametrize(
    "text",
    [
        "ssh-rsa, sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com or webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "/home/me/.ssh/authorized_keys: 1 usable key",
        "TLS_KEY=/etc/ssl/private/hub.key    # variable TLS_KEY",
        "TLS_KEY: '/etc/ssl/private/hub.key': is no private key in PEM",
        "AUTHORIZED_KEYS=keys.txt",
        "AUTH_TIMEOUT=1500ms",
        '{"authorized_keys": "/home/me/.ssh/authorized_keys", "tls_key": "~/hub.key"}',
        "ssh --key ~/.ssh/id_ed25519 host",
        "GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp/account.json",
        "input_tokens: 123456, output_tokens=7",
        "/etc/ssl/private/hub.key: Permission denied",
        "/nix/store/0c8hzjq2n4n6aqx1x9y3b8v7d5k2m1l0-python3-3.11.9/lib/python3.11/site-packages",
        "/var/lib/containers/overlay/SomeLongFolderName2024/AnotherFolder/usr/share/claudehub",
        "projects/p/log/00000000000000000001-00000000000000000042.jsonl",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text
    assert without_known_secrets(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "AWS_SECRET_ACCESS_KEY=/aB3dE5gH7/jK9mN1pQ3sT5vX7zB9dF1hJ3kL5n",
        "password=/hush/hush",
        "password=123456",
        "token: 123456",
        "SECRET=/hush",
        "x sk-ssh-hushhushhushhush",
        "key aB3dE5gH7jK9mN1pQ+3sT5vX7zB9dF1hJ3/kL5nP7r",
        "https://hub.example/v1/aB3dE5gH7jK9mN1pQ3sT5vX7zB9dF1hJ3kL5nP7r/x",
        "'authorized_keys: 1, password: hush hush'",
    ],
)
def test_what_may_be_a_secret_goes(text: str) -> None:
    cleaned = without_secrets(text)
    assert "***" in cleaned
    assert not re.search(r"hush(?! hush)|123456|aB3dE5|sT5vX7", cleaned)


def test_variables_that_name_files_and_numbers_are_no_secrets() -> None:
    environment = {
        "AUTHORIZED_KEYS": "keys.txt",
        "AUTH_TIMEOUT": "1500ms",
        "SSH_AUTH_SOCK": "/run/ssh/agent",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "128000",
        "DEPLOY_TOKEN": "a-hushed-value",
        "LOGIN_PASSWORD": "654321",
    }
    assert secret_values(environment) == ["a-hushed-value", "654321"]


def test_the_value_of_a_variable_is_hidden_however_it_is_written() -> None:
    value = 'hunter2"quo\\te\tü'
    cleaner = Cleaner({"MY_PASSWORD": value})
    forms = (value, json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value))
    for form in (*forms, quote(value, safe="")):
        shown = cleaner.clean(f"before {form} after")
        assert "hunter2" not in shown and "quo" not in shown and shown.startswith("before ")


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-thing=otlp-value,y=an%20other",
            ["otlp-value", "an other"],
        ),
        (
            "ANTHROPIC_CUSTOM_HEADERS",
            "X-One: first-one\nX-Two: second two",
            ["first-one", "second two"],
        ),
        ("DATABASE_URL", "postgres://u:topsecretpw@h/db", ["topsecretpw"]),
        ("DATABASE_URL", "postgres://u:pw/with/slash@h/db", ["pw/with/slash"]),
    ],
)
def test_secrets_inside_the_values_of_variables_are_hidden(
    name: str, value: str, secrets: list[str]
) -> None:
    cleaner = Cleaner({name: value})
    for secret in secrets:
        assert cleaner.clean(f"it says {secret}.") == "it says ***."


@pytest.mark.parametrize("hide", [without_secrets, without_known_secrets])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:pw/with/slash@host/db", "postgres://***@host/db"),
        ("at http://host:8080/a@b", "at http://host:8080/a@b"),
        ("from https://registry.example/@scope/name", "from https://registry.example/@scope/name"),
        ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "***"),
        ("npm_abcdefghijklmnopqrstuvwxyz", "***"),
        ("AIzaSyD-abcdefghijklmnopqrstuvwxyz", "***"),
        ("the variable hf_home and npm_config_cache", "the variable hf_home and npm_config_cache"),
    ],
)
def test_logins_and_known_keys_are_hidden(
    hide: Callable[[str], str], text: str, shown: str
) -> None:
    assert hide(text) == shown


NASTY = (
    "-", "a-", "a.", "key-", "key=", "key ", "bearer ", "eyJ-", "a://", "a://b:", "sk-", " --a",
    "A1", "-----END A-----\n", "-----BEGIN A-----\n", "'\"", "key=\"", "a@", "/a", "_key", "aA1/",
)  # fmt: skip
# Many of the last come behind one of the first, and before one of the ends.
HEADS = ("", '"', "key", "a://", "bearer ")
ENDS = ("", "'", "=")


@pytest.mark.parametrize("part", NASTY)
def test_the_time_to_hide_secrets_grows_with_the_length(part: str) -> None:
    def hide(chars: int) -> None:
        for head, end in zip((*HEADS, '"key=', "'"), (*ENDS, *ENDS, "'"), strict=True):
            without_secrets(head + part * (chars // len(part)) + end)

    assert growth(hide, 2_000, 16_000) < 3 * 8
