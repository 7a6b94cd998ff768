"""The table of provider/*.yml: the API actions that deploying each resource type takes, and their targets.

A row is a resource type: the provider's source files (after "@" the commit that was read; a file without one was not
read), properties that the provider sends although the program does not set them, and the actions to create, read,
update, delete and tag. An action has a target for each resource that AWS checks it against:

    any              no resource that a policy could name, or a read of metadata
    named TYPE       the stack chooses its name, so its ARN is known
    new TYPE         does not exist yet, and AWS generates its id
    created TYPE     CreateTags that is part of the creating call
    marked TYPE      exists without tags, and this call brings the tags Project and Stack
    tagged TYPE      has the tags Project and Stack by then
    untagged TYPE    has no tag of the stack, and AWS generates its id

TYPE is the resource type's name in the service authorization reference; "for SERVICE" after it is the service that a
role is for.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "provider"
PHASES = ("create", "read", "update", "delete", "tag")
_TARGET = re.compile(
    r"(?P<how>any)|(?P<how_of>named|new|created|marked|tagged|untagged) (?P<kind>\S+)(?: for (?P<service>\S+))?"
)


@dataclass(frozen=True)
class CallTarget:
    """One resource that AWS checks an action against; `kind` is empty where there is none to name."""

    how: str
    kind: str = ""
    service: str = ""


@dataclass(frozen=True)
class ProviderCall:
    """One action and the resources that AWS checks it against."""

    action: str
    targets: tuple[CallTarget, ...]

    @property
    def service(self) -> str:
        """`ec2` of `ec2:CreateVpc`."""
        return self.action.split(":", maxsplit=1)[0]


@dataclass(frozen=True)
class TypeRow:
    """What one resource type takes; the rows `provider` and `experiment` belong to no resource."""

    type: str
    source: tuple[str, ...]
    defaults: Mapping[str, Any]
    calls: Mapping[str, tuple[ProviderCall, ...]]

    def __iter__(self) -> Iterator[ProviderCall]:
        """Every call, phase by phase."""
        return (call for phase in PHASES for call in self.calls.get(phase, ()))


@functools.cache
def table() -> Mapping[str, TypeRow]:
    """Every row by its type."""
    rows: dict[str, TypeRow] = {}
    for file in sorted(FOLDER.glob("*.yml")):
        for kind, content in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            if kind in rows:
                raise ValueError(f"{file.name}: {kind}: has a row already; one row a resource type is allowed")
            rows[kind] = row(kind, content)
    return rows


def row(kind: str, content: Mapping[str, Any]) -> TypeRow:
    """One row from its YAML content."""
    unknown = set(content) - {"source", "defaults", *PHASES}
    if unknown:
        raise ValueError(f"{kind}: {', '.join(sorted(unknown))}: allowed are source, defaults, {', '.join(PHASES)}")
    calls = {
        phase: tuple(ProviderCall(action, _targets(kind, action, text)) for action, text in content[phase].items())
        for phase in PHASES
        if phase in content
    }
    return TypeRow(kind, tuple(content["source"]), content.get("defaults", {}), calls)


def _targets(kind: str, action: str, text: str) -> tuple[CallTarget, ...]:
    targets: list[CallTarget] = []
    for part in text.split(", "):
        match = _TARGET.fullmatch(part)
        if match is None:
            raise ValueError(f"{kind}: {action}: {part!r}: allowed is any, or such as `tagged subnet`")
        targets.append(CallTarget(match["how"] or match["how_of"], match["kind"] or "", match["service"] or ""))
    return tuple(targets)
