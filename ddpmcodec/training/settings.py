"""Settings of runs: dataclasses whose types say what a setting may be. They are checked, and revived from JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from ddpmcodec.errors import TrainingError

S = TypeVar("S")


class Range(NamedTuple):
    """The numbers that a setting may be, ends included."""

    described: str
    least: float
    most: float = sys.float_info.max


Positive = Annotated[float, Range("a number above 0", math.ulp(0.0))]
Share = Annotated[float, Range("a share from 0 to 1", 0, 1)]
Count = Annotated[int, Range("a whole number above 0", 1)]
CountFrom0 = Annotated[int, Range("a whole number not below 0", 0)]
LevelCount = Annotated[int, Range("a whole number above 1", 2)]
Seed = Annotated[int, Range("a whole number from 0 to 2147483647", 0, 2**31 - 1)]


def check(settings: Any) -> None:
    """Raises TrainingError for a setting that is not of its field's type, or outside of that type's `Range`: it would
    end a run after hours, or make none."""
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        if not _fits(value := getattr(settings, name), hint):
            raise TrainingError(f"{name}={value!r}: give {_described(hint)}")


def revived(settings_type: type[S], values: Mapping[str, Any]) -> S:
    """A dataclass from what JSON made of it: tuples are lists, and dataclasses inside are dictionaries."""
    hints = get_type_hints(settings_type)

    def value(name: str) -> Any:
        if is_dataclass(hints[name]):
            return revived(hints[name], values[name])
        found = tuple(values[name]) if isinstance(values[name], list) else values[name]
        if not _fits(found, hints[name]):  # of another version, whose settings mean something else
            raise TypeError(f"its {name} is {found!r}")
        return found

    return settings_type(**{field.name: value(field.name) for field in fields(settings_type)})  # type: ignore[arg-type]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is one of a type that settings have, as JSON keeps them.

    >>> _fits(3, float | None), _fits(("a", 3), tuple[str, ...]), _fits("3", int), _fits(True, int)
    (True, False, False, False)
    """
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        kind, allowed = arguments
        return _fits(value, kind) and allowed.least <= value <= allowed.most
    if get_origin(hint) is Literal:
        return value in arguments
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(each, arguments[0]) for each in value)
    if arguments:
        return any(_fits(value, argument) for argument in arguments)
    if hint is float:  # a NumPy float is a Python float, too
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is hint


def _described(hint: Any) -> str:
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return str(arguments[1].described)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(arguments)}"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(_described, arguments))
    if hint is NoneType:
        return "None"
    return hint.__name__ if type(hint) is type else str(hint)
