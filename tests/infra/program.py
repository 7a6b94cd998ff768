"""Runs the project's own program under Pulumi's mocks and keeps every declared resource."""

import asyncio
import json
import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime.stack import wait_for_rpcs

from infra import settings as infra_settings

ACCOUNT = "123456789012"
REGION = "eu-west-1"


@dataclass(frozen=True)
class Declared:
    """One resource as the program declared it."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict[str, Any])


class _Cloud(pulumi.runtime.Mocks):
    """Answers as AWS would, as far as other resources use the answer."""

    def __init__(self) -> None:
        self.declared: list[tuple[pulumi.runtime.MockResourceArgs, dict[str, Any]]] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        kind = re.sub(r"\W", "-", args.typ.split(":")[1].split("/")[0])
        short = args.typ.rsplit(":", 1)[-1]
        physical = f"{args.name}-{'0' * 7}"
        outputs: dict[str, Any] = {
            "arn": f"arn:aws:{kind}:{REGION}:{ACCOUNT}:{short.lower()}/{physical}",
            "name": physical,
            **args.inputs,
        }
        if short == "ReplicationGroup":
            outputs["configurationEndpointAddress"] = f"{physical}.abc123.clustercfg.euw1.cache.amazonaws.com"
        elif short == "LoadBalancer":
            outputs["dnsName"] = f"internal-{physical}.{REGION}.elb.amazonaws.com"
            outputs["arnSuffix"] = f"app/{physical}/0123456789abcdef"
        elif short == "Repository":
            outputs["repositoryUrl"] = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{physical}"
            outputs["registryId"] = ACCOUNT
        elif short == "Image":
            outputs["repoDigest"] = f"{args.inputs['imageName'].rsplit(':', 1)[0]}@sha256:{'0' * 64}"
        elif short == "Bucket":
            outputs["bucket"] = physical
        self.declared.append((args, dict(args.inputs)))
        return physical, outputs

    def call(  # pyright: ignore[reportIncompatibleMethodOverride] - the base method promises less than it accepts
        self, args: pulumi.runtime.MockCallArgs
    ) -> dict[str, Any]:
        match args.token:
            case "aws:index/getRegion:getRegion":
                return {"region": REGION, "id": REGION, "name": REGION}
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                return {"names": [f"{REGION}{letter}" for letter in "abc"]}
            case "aws:ecr/getAuthorizationToken:getAuthorizationToken":
                return {"userName": "AWS", "password": "made up"}
            case _:
                raise AssertionError(f"the program asks for {args.token}, which nobody expected")


def declare(stack: str = "dev", **settings: object) -> tuple[list[Declared], dict[str, Any]]:
    """What the program declares with these settings over Pulumi.yaml's defaults, and what it exports."""
    values = {**infra_settings.defaults(), **settings}
    return declare_with(infra_settings.as_config(values), stack)


def declare_with(config: Mapping[str, str], stack: str = "dev") -> tuple[list[Declared], dict[str, Any]]:
    """The same with the config exactly as given."""
    cloud = _Cloud()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(cloud, project=infra_settings.project_name(), stack=stack, preview=False)
    pulumi.runtime.set_all_config(dict(config))
    exported: dict[str, Any] = {}

    async def program() -> None:
        runpy.run_path(str(infra_settings.ROOT / "__main__.py"), run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.stack.run_pulumi_func(program))  # type: ignore[attr-defined]
        loop.run_until_complete(wait_for_rpcs())
    finally:
        loop.close()
    resources = [
        Declared(urn=f"{a.typ}::{a.name}", type=a.typ, name=a.name, inputs=inputs) for a, inputs in cloud.declared
    ]
    return resources, exported


if __name__ == "__main__":
    for r in declare()[0]:
        print(r.type, r.name, json.dumps(r.inputs, default=str)[:300])
