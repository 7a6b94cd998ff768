"""The ways in which a declared type or property corresponds to one of CloudFormation's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# The places of a property there: `A.B` is B inside A, `A[]` an entry of the list A.
Place = str


@dataclass(frozen=True)
class Refer:
    """A property that holds the id or ARN of another declared resource, or a list of such."""

    place: Place
    kind: str


@dataclass(frozen=True)
class Inside:
    """A property that holds properties, or a list of such; without a place, they are the resource's own there."""

    place: Place
    properties: "Properties"


@dataclass(frozen=True)
class Made:
    """Properties that follow from the value otherwise than by a new name."""

    properties: Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Json:
    """A property that is JSON text here and a document there, whose own properties are `pascal` or as they are."""

    place: Place
    pascal: bool = False


@dataclass(frozen=True)
class Omitted:
    """A property that the resource has no word for there."""

    reason: str


Way = Place | Refer | Inside | Made | Json | Omitted
Properties = Mapping[str, Way]


@dataclass(frozen=True)
class Beside:
    """A second resource there that takes these declared properties, `more`, and at `own` a reference to the first."""

    type: str
    properties: Properties
    own: Place = ""
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Counterpart:
    """A type that CloudFormation has too.

    `name` is the property that the provider fills with the name that Pulumi makes; `identity` and `arn` are what a
    reference reads ("" for Ref); `known_as` is a declared property that others name the resource by.
    """

    type: str
    properties: Properties
    name: Place = ""
    identity: str = ""
    arn: str = ""
    known_as: str = ""
    beside: Beside | None = None


@dataclass(frozen=True)
class Folded:
    """A type that is a part of another resource there: of the one that the property `by` names."""

    by: str
    into: str
    properties: Properties


@dataclass(frozen=True)
class Absent:
    """A type that CloudFormation cannot declare."""

    reason: str


def pascal(*properties: str) -> dict[str, Way]:
    """Properties whose name there differs by its first letter only."""
    return {name: name[0].upper() + name[1:] for name in properties}
