"""Requests held against botocore's service models: what AWS publishes of its own rules in a form that can be run.

botocore itself checks required parameters, types and lengths before it sends; of enums and patterns it tells nobody.
"""

import datetime as dt
import functools
from collections.abc import Iterable, Iterator
from typing import Any, cast

import regex
from botocore.loaders import create_loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from tests.aws.requests import Request

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "blob": bytes,
    "timestamp": dt.datetime,
}


@functools.cache
def service(name: str) -> ServiceModel:
    """The newest model of a service, read once."""
    return ServiceModel(create_loader().load_service_model(name, "service-2"), name)


def parameters_of(name: str, operation: str) -> StructureShape:
    """What an operation takes."""
    shape = service(name).operation_model(operation).input_shape
    assert isinstance(shape, StructureShape), f"{name} {operation} takes nothing"
    return shape


def broken(requests: Iterable[Request]) -> list[str]:
    """One line for each rule that a request breaks: resource, operation, parameter, value, rule."""
    return [
        f"{request}: {line}"
        for request in requests
        for line in _check(parameters_of(request.service, request.operation), request.parameters, "")
    ]


def _check(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        yield from _check_structure(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _check_list(shape, value, path)
    elif isinstance(shape, MapShape):
        yield from _check_map(shape, value, path)
    else:
        yield from _check_scalar(shape, value, path)


def _check_structure(shape: StructureShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} = {value!r}: not a structure"
        return
    members = cast("dict[str, Any]", value)
    for name in shape.required_members:
        if name not in members:
            yield f"{_join(path, name)}: required, and missing"
    for name, inside in members.items():
        if name not in shape.members:
            yield f"{_join(path, name)} = {inside!r}: there is no such parameter"
        else:
            yield from _check(shape.members[name], inside, _join(path, name))


def _check_list(shape: ListShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} = {value!r}: not a list"
        return
    items = cast("list[Any]", value)
    yield from _check_range(shape, len(items), f"{path}: {len(items)} items", "items")
    for place, item in enumerate(items):
        yield from _check(shape.member, item, f"{path}[{place}]")


def _check_map(shape: MapShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} = {value!r}: not a map"
        return
    entries = cast("dict[str, Any]", value)
    yield from _check_range(shape, len(entries), f"{path}: {len(entries)} entries", "entries")
    for key, inside in entries.items():
        yield from _check(shape.key, key, f"{path} (key)")
        yield from _check(shape.value, inside, _join(path, key))


def _check_scalar(shape: Shape, value: Any, path: str) -> Iterator[str]:
    python_type = _TYPES[shape.type_name]
    # In Python True is a 1 too; in JSON and XML it is not.
    if not isinstance(value, python_type) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"{path} = {value!r}: not of type {shape.type_name}"
    elif isinstance(value, str):
        if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
            yield f"{path} = {value!r}: none of {', '.join(shape.enum)}"
        pattern = shape.metadata.get("pattern")
        # The patterns are Java's: \p{L} and flags in the middle, which Python's own re does not know.
        if pattern and not regex.fullmatch(pattern, value):
            yield f"{path} = {value!r}: does not match {pattern}"
        yield from _check_range(shape, len(value), f"{path} = {value!r}, {len(value)} characters", "characters")
    elif isinstance(value, bytes):
        yield from _check_range(shape, len(value), f"{path}: {len(value)} bytes", "bytes")
    elif isinstance(value, int | float):
        yield from _check_range(shape, value, f"{path} = {value!r}", "")


def _check_range(shape: Shape, size: float, seen: str, unit: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{seen}: at least {low} {unit}".rstrip()
    if high is not None and size > high:
        yield f"{seen}: at most {high} {unit}".rstrip()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
