"""Writes what the program declares as one CloudFormation template, which CloudFormation's rules can be held against.

Ids and ARNs of declared resources become references, so that rules between resources see both; inside policies, where
no rule follows a reference, ARNs are written out.
"""

import json
import re
from typing import Any

from tests.aws.arns import real
from tests.aws.counterparts import KINDS, TAGS
from tests.aws.mapping import Absent, Counterpart, Folded, Inside, Json, Made, Omitted, Properties, Refer
from tests.aws.provider.call import UnmappedError
from tests.infra.program import SUFFIX, Declared, Program, arn

# Below these the keys are words of the program's own (options of a log driver), not CloudFormation's.
_OWN_WORDS = {"options"}


def logical_id(resource: Declared) -> str:
    """A resource's name in the template: letters and digits only."""
    return re.sub(r"[^A-Za-z0-9]", "", resource.short_type.title() + "X" + resource.name.title())


class Template:
    """The template of one program; `dangling` tells which references name nothing that is declared."""

    def __init__(self, program: Program) -> None:
        self.dangling: list[str] = []
        self._resources: dict[str, dict[str, Any]] = {}
        self._urns: dict[str, str] = {}  # by logical id
        self._folded: dict[tuple[str, str], str] = {}  # by logical id and property, where that is another's
        self._references: dict[tuple[str, str], dict[str, Any]] = {}  # by short type and id or ARN
        # Pulumi declares in no certain order; here a mistake between two resources is told of the same one each time.
        declared = sorted((r for r in program if not isinstance(kind_of(r), Absent)), key=lambda r: r.urn)
        for resource in declared:
            self._know(resource)
        for resource in declared:
            self._write(resource)
        for resource in declared:
            self._fold(resource)
        text = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": self._resources})
        self.body: dict[str, Any] = json.loads(real(text))

    def about(self, path: list[str | int]) -> str:
        """The URN of the declared resource that a place of the template comes from; none for the template itself."""
        if len(path) < 2 or path[0] != "Resources":
            return "the template"
        name, property_ = str(path[1]), str(path[3]) if len(path) > 3 else ""
        return self._folded.get((name, property_)) or self._urns[name]

    def _know(self, resource: Declared) -> None:
        """Takes down what others call the resource by."""
        kind = kind_of(resource)
        if not isinstance(kind, Counterpart):
            return
        name = logical_id(resource)
        if name in self._urns:
            raise UnmappedError(f"{resource.urn} and {self._urns[name]} have one logical id, {name}")
        self._urns[name] = self._urns[f"{name}Beside"] = resource.urn
        physical = resource.inputs[kind.known_as] if kind.known_as else resource.name + SUFFIX
        self._references[resource.short_type, physical] = attribute(name, kind.identity)
        own_arn = arn(resource.type, resource.name + SUFFIX)
        self._references[resource.short_type, own_arn] = attribute(name, kind.arn)

    def _write(self, resource: Declared) -> None:
        kind = kind_of(resource)
        if not isinstance(kind, Counterpart):
            return
        name, inputs = logical_id(resource), resource.inputs
        keep = "Retain" if resource.retain_on_delete else "Delete"
        policies = {"DeletionPolicy": keep, "UpdateReplacePolicy": keep}
        properties = self._translate(resource, kind.properties, inputs)
        if kind.name:
            merge(properties, place(kind.name, resource.name + SUFFIX))
        self._resources[name] = {"Type": kind.type, **policies, "Properties": properties}
        if kind.beside:
            mapped = {key: value for key, value in inputs.items() if key in kind.beside.properties}
            properties = {**self._translate(resource, kind.beside.properties, mapped), **kind.beside.more}
            if kind.beside.own:
                properties[kind.beside.own] = attribute(name, kind.identity)
            self._resources[f"{name}Beside"] = {"Type": kind.beside.type, **policies, "Properties": properties}

    def _fold(self, resource: Declared) -> None:
        """Adds a resource that is a part of another to that one."""
        kind = kind_of(resource)
        if not isinstance(kind, Folded):
            return
        owner = self._refer(resource, Refer(kind.by, kind.into), resource.inputs[kind.by])
        if not isinstance(owner, dict):
            return  # it is among the dangling
        name: str = owner["Ref"] if "Ref" in owner else owner["Fn::GetAtt"][0]
        inputs = {key: value for key, value in resource.inputs.items() if key != kind.by}
        properties = self._translate(resource, kind.properties, inputs)
        merge(self._resources[name]["Properties"], properties)
        self._folded |= {(name, property_): resource.urn for property_ in properties}

    def _translate(self, resource: Declared, ways: Properties, inputs: dict[str, Any]) -> dict[str, Any]:
        """Declared properties in CloudFormation's words."""
        properties: dict[str, Any] = {}
        for name, value in inputs.items():
            way = {"tags": TAGS, **ways}.get(name)
            match way:
                case None:
                    raise UnmappedError(f"{resource.urn}: tests/aws/counterparts.py does not map its {name}")
                case str():
                    merge(properties, place(way, plain(value)))
                case Refer():
                    merge(properties, place(way.place, self._refer(resource, way, value)))
                case Inside():
                    inner = (
                        [self._translate(resource, way.properties, entry) for entry in value]
                        if isinstance(value, list)
                        else self._translate(resource, way.properties, value)
                    )
                    merge(properties, place(way.place, inner))
                case Json():
                    document = json.loads(value)
                    merge(properties, place(way.place, pascal_keys(document) if way.pascal else document))
                case Made():
                    merge(properties, plain(way.properties(value)))
                case Omitted():
                    pass
        return properties

    def _refer(self, resource: Declared, way: Refer, value: Any) -> Any:
        """A reference to the declared resource that the value names; a value that names none stays as it is."""
        if isinstance(value, list):
            return [self._refer(resource, way, entry) for entry in value]
        reference = self._references.get((way.kind, value))
        if reference is None:
            self.dangling.append(f"{resource.urn} {way.place}: {value!r} names no declared {way.kind}")
        return reference or value


def kind_of(resource: Declared) -> Counterpart | Folded | Absent:
    """What a resource's type is there."""
    kind = KINDS.get(resource.short_type)
    if kind is None:
        raise UnmappedError(f"{resource.urn}: tests/aws/counterparts.py does not know {resource.short_type}")
    return kind


def attribute(name: str, of: str) -> dict[str, Any]:
    """A reference to a resource of the template, or to one attribute of it."""
    return {"Fn::GetAtt": [name, of]} if of else {"Ref": name}


def place(path: str, value: Any) -> dict[str, Any]:
    """The value at its place: `A.B` is B inside A, `A[]` an entry of the list A."""
    if not path:
        return value  # type: ignore[no-any-return]
    for step in reversed(path.split(".")):
        value = {step[:-2]: [value]} if step.endswith("[]") else {step: value}
    return value


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Adds properties to those that are there; lists grow, and properties of properties come together."""
    for name, value in more.items():
        if isinstance(value, list) and name in into:
            into[name] += value
        elif isinstance(value, dict) and name in into:
            merge(into[name], value)
        else:
            into[name] = value


def plain(value: Any) -> Any:
    """Pulumi's numbers are all floating-point; CloudFormation tells whole ones apart."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [plain(entry) for entry in value]
        case dict():
            return {key: plain(entry) for key, entry in value.items()}
        case _:
            return value


def pascal_keys(value: Any) -> Any:
    """The same with every key's first letter in upper case."""
    match value:
        case list():
            return [pascal_keys(entry) for entry in value]
        case dict():
            return {
                key[0].upper() + key[1:]: entry if key in _OWN_WORDS else pascal_keys(entry)
                for key, entry in value.items()
            }
        case _:
            return value
