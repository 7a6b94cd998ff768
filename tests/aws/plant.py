"""Mistakes planted in a copy of what the program declares, to see a check fail on them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.infra.program import Program


@dataclass(frozen=True)
class Drop:
    """In a plant's changes: the property is left out."""


@dataclass(frozen=True)
class Plant:
    """A mistake in one declared resource, and words of the message that must tell it.

    `changes` are by property, `a.b` for b inside a; a function is called with the declared value.
    """

    kind: str
    name: str
    changes: Mapping[str, Any]
    told: str

    def __str__(self) -> str:
        """The test's name."""
        return f"{self.kind}-{self.name}-{'-'.join(self.changes)}-{self.told}"

    def into(self, program: Program) -> Program:
        """A copy of the program with the mistake in it."""
        resource = program.one(self.kind, self.name)
        # An archive of code cannot be copied, and nobody plants anything in it.
        inputs = {key: value if key == "code" else copy.deepcopy(value) for key, value in resource.inputs.items()}
        for path, change in self.changes.items():
            *above, last = path.split(".")
            inside = inputs
            for step in above:
                inside = inside[step]
            if isinstance(change, Drop):
                del inside[last]
            else:
                inside[last] = change(inside[last]) if callable(change) else change
        return Program({**program.resources, resource.urn: replace(resource, inputs=inputs)}, program.exports)

    def missed(self, program: Program, complaints: Sequence[str]) -> str:
        """Empty if a complaint names the resource and tells the mistake; else what was said instead."""
        urn = program.one(self.kind, self.name).urn
        if any(complaint.startswith(urn) and self.told in complaint for complaint in complaints):
            return ""
        return f"nothing tells {self.told!r} of {urn}, only:\n" + "\n".join(complaints)


def rounds(plants: Sequence[Plant]) -> list[list[Plant]]:
    """The plants in as few groups as hold no two mistakes in resources of one type, for a slow check."""
    groups: list[list[Plant]] = []
    for plant in plants:
        free = next((group for group in groups if plant.kind not in {other.kind for other in group}), None)
        if free is None:
            groups.append([plant])
        else:
            free.append(plant)
    return groups
