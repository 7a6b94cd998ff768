"""What the mappings of the provider's resource types are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.aws.inputs import Inputs

# Where the provider makes up a unique token or id of its own (internal/sdkid, helper/id.UniqueId).
TOKEN = "terraform-20261124000000000000000001"


class UnmappedError(Exception):
    """A declared type, property, value or change that the mappings do not know."""


@dataclass(frozen=True)
class Call:
    """One request: the service as botocore names it, the operation, the parameters."""

    service: str
    operation: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Own:
    """What the resource is called once it is there: the name that Pulumi makes, and EC2's id."""

    name: str
    id: str


@dataclass(frozen=True)
class Creation:
    """How the provider creates one type.

    `read` is the file of hashicorp/terraform-provider-aws below internal/service, and the commit that was read: one
    each, not always of the newest release. "6.x" is code of that major whose commit is not known. `build` takes the
    inputs and what the resource is called.
    """

    read: str
    build: Callable[[Inputs, Own], list[Call]]
