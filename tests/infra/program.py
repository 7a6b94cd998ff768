"""Runs the project's own program under Pulumi's mocks and keeps everything that it declares."""

import asyncio
import functools
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import get_root_resource, set_root_resource

from infra import settings as infra_settings

ACCOUNT = "123456789012"
REGION = "eu-west-1"
SUFFIX = "-0123abc"
# The region's zones and their ids, in the order in which EC2 lists them.
ZONES = {f"{REGION}a": "euw1-az3", f"{REGION}b": "euw1-az1", f"{REGION}c": "euw1-az2"}


@dataclass(frozen=True)
class Declared:
    """One resource as the program declared it."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    dependencies: frozenset[str]
    ignore_changes: tuple[str, ...]
    retain_on_delete: bool
    timeouts: dict[str, str]
    secrets: frozenset[str]

    @property
    def short_type(self) -> str:
        """`aws:ec2/vpc:Vpc` -> `ec2.Vpc`."""
        _, module, name = self.type.split(":")
        return f"{module.split('/')[0]}.{name}"


@dataclass
class Program:
    """What one run of the program declared and exported."""

    resources: dict[str, Declared] = field(default_factory=dict[str, Declared])
    exports: dict[str, Any] = field(default_factory=dict[str, Any])

    def __iter__(self) -> Iterator[Declared]:
        """Every resource of a provider; components and the stack group others and have no inputs of their own."""
        return (r for r in self.resources.values() if r.type.split(":")[0] in ("aws", "docker"))

    def of(self, short_type: str) -> list[Declared]:
        """The resources of one type, such as `ec2.Vpc`."""
        return [resource for resource in self if resource.short_type == short_type]

    def one(self, short_type: str, name: str | None = None) -> Declared:
        """The only resource of a type, or the one with that name after the stack's."""
        matches = [r for r in self.of(short_type) if name is None or r.name.endswith(f"-{name}")]
        assert len(matches) == 1, f"{short_type} {name}: {[r.urn for r in matches]}"
        return matches[0]

    def after(self, urn: str) -> set[str]:
        """The URNs of all that must exist before `urn`, and must go after it."""
        seen: set[str] = set()
        todo = [urn]
        while todo:
            for dependency in self.resources[todo.pop()].dependencies - seen:
                seen.add(dependency)
                todo.append(dependency)
        return seen


def arn(kind: str, physical: str) -> str:
    """The ARN that the mocked cloud gives a resource of this type."""
    return f"arn:aws:{re.split(r'[:/]', kind)[1]}:{REGION}:{ACCOUNT}:{kind.rsplit(':', 1)[1].lower()}/{physical}"


class _Cloud(mocks.Mocks):
    """Answers as AWS would, as far as other resources use the answer.

    Args:
        unknown: outputs by type, such as `{"ReplicationGroup": "memberClusters"}`, that a preview does not know yet.
    """

    def __init__(self, unknown: Mapping[str, str]) -> None:
        self._unknown = unknown

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        short = args.typ.rsplit(":", 1)[-1]
        physical = args.name + SUFFIX
        outputs: dict[str, Any] = {
            "arn": arn(args.typ, physical),
            "name": physical,
            **args.inputs,
        }
        match short:
            case "ReplicationGroup":
                outputs["configurationEndpointAddress"] = f"{physical}.abc123.clustercfg.euw1.cache.amazonaws.com"
            case "LoadBalancer":
                outputs["dnsName"] = f"internal-{physical}.{REGION}.elb.amazonaws.com"
                outputs["arnSuffix"] = f"app/{physical}/0123456789abcdef"
            case "Repository":
                outputs["repositoryUrl"] = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{physical}"
                outputs["registryId"] = ACCOUNT
            case "Image":
                outputs["repoDigest"] = f"{args.inputs['imageName'].rsplit(':', 1)[0]}@sha256:{'0' * 64}"
            case "Bucket":
                outputs["bucket"] = physical
            case _:
                pass
        if short in self._unknown:
            outputs[self._unknown[short]] = rpc.UNKNOWN
        return physical, outputs

    def call(  # pyright: ignore[reportIncompatibleMethodOverride] - the base method promises less than it accepts
        self, args: mocks.MockCallArgs
    ) -> dict[str, Any]:
        match args.token:
            case "aws:index/getRegion:getRegion":
                return {"region": REGION, "id": REGION}
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                left_out = args.args.get("excludeZoneIds", [])
                return {"names": [name for name, zone_id in ZONES.items() if zone_id not in left_out]}
            case "aws:ecr/getAuthorizationToken:getAuthorizationToken":
                return {"userName": "AWS", "password": "made up"}
            case _:
                raise AssertionError(f"the program asks for {args.token}, which nobody expected")


class _Recorder(mocks.MockMonitor):
    """The mock monitor, with what it throws away: dependencies and options."""

    def __init__(self, unknown: Mapping[str, str]) -> None:
        super().__init__(_Cloud(unknown))
        self.declared: dict[str, Declared] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - a gRPC method's name
        answer = super().RegisterResource(request)
        timeouts = request.customTimeouts
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        self.declared[answer.urn] = Declared(
            urn=answer.urn,
            type=request.type,
            name=request.name,
            inputs={key: rpc.unwrap_rpc_secret(value) for key, value in inputs.items()},
            dependencies=frozenset(request.dependencies),
            ignore_changes=tuple(request.ignoreChanges),
            retain_on_delete=request.retainOnDelete,
            timeouts={k: v for k in ("create", "update", "delete") if (v := getattr(timeouts, k))},
            secrets=frozenset(key for key, value in inputs.items() if rpc.is_rpc_secret(value)),
        )
        return answer


def run(config: Mapping[str, str], stack: str = "dev", unknown: Mapping[str, str] | None = None) -> Program:
    """Runs the program with the config exactly as given; with outputs that are `unknown`, as `pulumi preview` does."""
    recorder = _Recorder(unknown or {})
    set_root_resource(None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - each run has its own root
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(
        _Cloud(unknown or {}),
        project=infra_settings.project_name(),
        stack=stack,
        preview=unknown is not None,
        monitor=recorder,
    )
    pulumi.runtime.set_all_config(dict(config))
    program = Program(resources=recorder.declared)

    async def main() -> None:
        runpy.run_path(str(infra_settings.ROOT / "__main__.py"), run_name="declared")

    async def exports() -> dict[str, Any]:
        root: Any = get_root_resource()
        known: dict[str, Any] | None = await pulumi.Output.from_input(root.outputs).future()
        return known or {}  # one export that is not known makes all of them unknown

    try:
        loop.run_until_complete(pulumi.runtime.stack.run_pulumi_func(main))
        program.exports = loop.run_until_complete(exports())
    finally:
        loop.close()
    return program


def declare(stack: str = "dev", **settings: object) -> Program:
    """What the program declares with these settings over Pulumi.yaml's defaults; the same run is made once."""
    return _declare(stack, json.dumps(settings, sort_keys=True))


@functools.lru_cache(maxsize=32)
def _declare(stack: str, settings: str) -> Program:
    return run(infra_settings.as_config({**infra_settings.defaults(), **json.loads(settings)}), stack)
