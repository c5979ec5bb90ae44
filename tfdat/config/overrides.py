"""Reading and writing a configuration: `--set key.path=value`, JSON files, differences."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from pydantic import ValidationError

from tfdat.config import Config
from tfdat.errors import UserError, shortened


@dataclasses.dataclass(frozen=True)
class DecisionField:
    """One field of the configuration, with where and why it is decided."""

    key: str
    annotation: Any
    default: Any
    metadata: Mapping[str, Any]


def decision_fields(config: Config | None = None) -> Iterator[DecisionField]:
    """Yields every field of `config` (the defaults without one) as `section.name`, in the order of declaration."""
    for section, values in config or Config():
        for name, field in type(values).model_fields.items():
            about = cast(Mapping[str, Any], field.json_schema_extra)
            yield DecisionField(f"{section}.{name}", field.annotation, getattr(values, name), about)


def get(config: Config, key: str) -> Any:
    """The value at `section.name`."""
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of `config` with the fields at `values`' keys replaced, checked as one.

    Raises:
      UserError: an unknown key (the nearest is suggested), a wrong type, or values that contradict each other.
    """
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    current = dict(config)
    return _checked(current | {name: dict(current.get(name, ())) | fields for name, fields in sections.items()})


def apply_assignments(config: Config, assignments: Iterable[str]) -> Config:
    """Applies `key.path=value` texts as the command line gives them.

    Lists are comma-separated (`model.hidden_units=256,128,32`); `none` stands for no value.

    Raises:
      UserError: see `with_values`, or a text without an equals sign.
    """
    values: dict[str, Any] = {}
    annotations = {field.key: field.annotation for field in decision_fields(config)}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise UserError(
                f"--set needs key.path=value, such as model.temperature=0.1. Received: {shortened(assignment)}."
            )
        key = key.strip()
        values[key] = _parsed(text.strip(), annotations.get(key))
    return with_values(config, values)


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The configuration as plain JSON types: `{section: {name: value}}`."""
    return config.model_dump(mode="json")


def from_dict(values: Mapping[str, Any]) -> Config:
    """The inverse of `to_dict`; missing fields take their defaults.

    Raises:
      UserError: an unknown section or field, or a value of the wrong type.
    """
    for section, fields in values.items():
        if not isinstance(fields, Mapping):
            raise UserError(
                f"Section {shortened(section)} of a configuration should be an object. Received: {shortened(fields)}."
            )
    return _checked(values)


def differences(left: Config, right: Config) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configurations differ: `{key: (left value, right value)}`."""
    pairs = zip(decision_fields(left), decision_fields(right), strict=True)
    return {a.key: (a.default, b.default) for a, b in pairs if a.default != b.default}


def as_text(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value)) or "none"
    return "none" if value is None else str(value)


def _checked(values: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError(_one_line(error, values)) from None


def _one_line(error: ValidationError, values: Mapping[str, Any]) -> str:
    """The first thing that is wrong with `values`; those of unions also name the branch, which is left out."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    section, *names = map(str, first["loc"][:2])
    if first["type"] == "extra_forbidden":
        return _unknown_key(".".join(filter(None, [section, *(names or list(values[section])[:1])])))
    key = ".".join([section, *names])
    received = values[section][names[0]] if names else values[section]
    return f"`{key}`: {message}. Received: {shortened(received)}."


def _unknown_key(key: str) -> str:
    known = [field.key for field in decision_fields()]
    by_name = {name.split(".")[1]: name for name in known}
    near = difflib.get_close_matches(key, known, n=1) or [
        by_name[name] for name in difflib.get_close_matches(key.rsplit(".", 1)[-1], by_name, n=1)
    ]
    hint = f" Did you mean {near[0]}?" if near else " `python -m tfdat.train --decisions` lists them all."
    return f"Unknown setting {shortened(key)}.{hint}"


def _parsed(text: str, annotation: Any) -> Any:
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    options = typing.get_args(annotation) if is_union else (annotation,)
    if types.NoneType in options and text.lower() in ("none", "off", ""):
        return None
    if any(_is_tuple(option) for option in options):
        return [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
    literals = [choice for option in options for choice in _literals(option) if str(choice) == text]
    return literals[0] if literals else text


def _is_tuple(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return typing.get_origin(annotation) is tuple


def _literals(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()
