"""What is wrong with a value, in plain words in place of the library's."""

from collections.abc import Mapping
from typing import Any

from actors.config.written import is_duration

# By pydantic's type of an error; `{gt}` and the like are its facts.
_PROBLEMS: Mapping[str, str] = {
    "bool_parsing": "must be on or off",
    "bool_type": "must be on or off",
    "byte_size": "is not a size",
    "byte_size_unit": "is not a size: there is no such unit",
    "enum": "must be {expected}",
    "finite_number": "must be a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt}{unit}",
    "greater_than_equal": "must be at least {ge}{unit}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}{unit}",
    "string_type": "must be a text",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, or a text",
}


def plain_problem(name: str, error: Mapping[str, Any]) -> str:
    """Return what follows the value in the line of a fault."""
    facts = {key: _number(value) for key, value in error.get("ctx", {}).items()}
    if error["type"] == "string_pattern_mismatch":
        choices = str(facts["pattern"]).strip("^$()").split("|")
        return f"must be {', '.join(choices[:-1])} or {choices[-1]}"
    problem = _PROBLEMS.get(error["type"])
    if problem is not None:
        return problem.format(**{**facts, "unit": " seconds" if is_duration(name) else ""})
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"


def _number(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value
