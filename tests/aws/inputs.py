"""A declared resource's inputs, which take down what of them a mapping reads."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from tests.aws.arns import real

# The properties that refer to something of EC2's, and the beginning of such an id.
_REFERENCES = {
    "allocationId": "eipalloc",
    "gatewayId": "igw",
    "natGatewayId": "nat",
    "referencedSecurityGroupId": "sg",
    "routeTableId": "rtb",
    "routeTableIds": "rtb",
    "securityGroupId": "sg",
    "securityGroupIds": "sg",
    "securityGroups": "sg",
    "subnetId": "subnet",
    "subnetIds": "subnet",
    "subnets": "subnet",
    "vpc": "vpc",
    "vpcId": "vpc",
}


class Inputs:
    """The inputs, or a block inside them; what was never read is told by `unread`.

    Numbers come from Pulumi as floats and are handed out as whole numbers where they are. Mocked ARNs and EC2's ids are
    handed out as AWS makes them; `ids` has them, by kind and mocked id.
    """

    def __init__(self, values: Mapping[str, Any], ids: Mapping[tuple[str, str], str]) -> None:
        self._values = values
        self._ids = ids
        self._read: set[str] = set()
        self._inside: dict[str, list[Inputs]] = {}

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __call__(self, name: str, default: Any = None) -> Any:
        """A plain value or a list of plain values; `default` if it is not declared."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None:
            return default
        for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                raise TypeError(f"{name} holds blocks; read it with block, blocks or words")
        return self._referred(name, _plain(value))

    def _referred(self, name: str, value: Any) -> Any:
        """EC2's ids in place of mocked ones; raises LookupError if nothing of that kind is declared."""
        kind = _REFERENCES.get(name)
        if kind is None:
            return value
        if isinstance(value, list):
            return [self._referred(name, item) for item in cast("list[Any]", value)]
        if (kind, value) not in self._ids:
            raise LookupError(f"{name} = {value!r}: no {kind} of that id is declared")
        return self._ids[kind, value]

    def block(self, name: str) -> "Inputs | None":
        """The one block of that name, if it is declared."""
        blocks = self.blocks(name)
        return blocks[0] if blocks else None

    def blocks(self, name: str) -> list["Inputs"]:
        """Every block of that name; Pulumi has a single one without a list around it."""
        self._read.add(name)
        if name not in self._inside:
            value = self._values.get(name) or []
            self._inside[name] = [Inputs(item, self._ids) for item in (value if isinstance(value, list) else [value])]
        return self._inside[name]

    def words(self, name: str) -> dict[str, Any]:
        """A map whose keys are the program's own words: tags, environment variables."""
        self._read.add(name)
        return {key: _plain(value) for key, value in (self._values.get(name) or {}).items()}

    def unsent(self, *names: str) -> None:
        """Properties that tell the provider how to work, and reach no request."""
        self._read |= set(names)

    def unread(self, path: str = "") -> Iterator[str]:
        """The declared properties that no mapping asked for, `a.b` for b inside a."""
        for name, value in self._values.items():
            if value is not None and name not in self._read:
                yield path + name
        for name, blocks in self._inside.items():
            for block in blocks:
                yield from block.unread(f"{path}{name}.")

    def if_set(self, names: Mapping[str, str]) -> dict[str, Any]:
        """What the provider sends if it is declared and not zero (`d.GetOk`), by parameter."""
        return {sent: value for name, sent in names.items() if (value := self(name))}

    def always(self, names: Mapping[str, str], **defaults: Any) -> dict[str, Any]:
        """What the provider sends always (`d.Get`), by parameter; a property without default is a required one.

        The provider would refuse a required property that is missing; here it stays out, for the models to miss it.
        """
        values = {sent: self(name, defaults.get(name)) for name, sent in names.items()}
        return {sent: value for sent, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return real(value)
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


def pairs(words: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags as most services want them."""
    return [{key: name, value: text} for name, text in words.items()]
