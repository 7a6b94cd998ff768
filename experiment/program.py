"""The project's own Pulumi program, run under Pulumi's mocks: what it declares, as plain data.

`declare` runs the program in a process of its own (a Pulumi program can run once a process) and returns every resource
it registered. Run as a script, this module is that process: configuration as JSON on standard input, declaration as
JSON into the file named by its argument.
"""

import asyncio
import json
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from experiment.errors import OptionsError
from infra import settings as infra_settings

ROOT = infra_settings.ROOT
_ACCOUNT = "000000000000"
_REGION = "rehearsal"


class ProgramError(OptionsError):
    """The program could not be run, or declared something that the rehearsal cannot stand in for."""


@dataclass(frozen=True)
class Resource:
    """One registered resource: type token, name, inputs from the program, outputs that others read."""

    type: str
    name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @property
    def kind(self) -> str:
        """The last word of the type token, such as ReplicationGroup."""
        return self.type.rsplit(":", 1)[-1]


def declare(values: Mapping[str, object], stack: str) -> list[Resource]:
    """Run the program with these settings and return what it declares, sorted by type and name.

    Raises:
        ProgramError: the program ended with an error; the message is the program's own.
    """
    with tempfile.TemporaryDirectory(prefix="declared-") as folder:
        output = Path(folder) / "declared.json"
        ran = subprocess.run(
            [sys.executable, "-m", "experiment.program", str(output)],
            input=json.dumps({"config": infra_settings.as_config(values), "stack": stack}),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        if ran.returncode != 0 or not output.exists():
            output_lines = (ran.stderr or ran.stdout).strip().splitlines()
            raise ProgramError("the Pulumi program failed under mocks:\n" + "\n".join(output_lines[-15:]))
        declared = json.loads(output.read_text())
    return [Resource(**resource) for resource in declared]


def changes(before: list[Resource], after: list[Resource]) -> dict[str, list[str]]:
    """Resources whose inputs differ between two declarations: `type::name` -> the inputs' names.

    A resource that is only in one of them has the one entry "declared" or "gone".
    """
    old = {(resource.type, resource.name): resource.inputs for resource in before}
    new = {(resource.type, resource.name): resource.inputs for resource in after}
    changed: dict[str, list[str]] = {}
    for key in sorted({*old, *new}):
        if key not in old:
            names = ["declared"]
        elif key not in new:
            names = ["gone"]
        else:
            names = sorted(name for name in {*old[key], *new[key]} if old[key].get(name) != new[key].get(name))
        if names:
            changed["::".join(key)] = names
    return changed


def refuse_other_changes(changed: Mapping[str, list[str]]) -> None:
    """Raise ProgramError unless only the replication group's shards and the dashboard differ."""
    wrong: list[str] = []
    for resource, names in changed.items():
        kind = resource.split("::", maxsplit=1)[0].rsplit(":", 1)[-1]
        allowed = {"ReplicationGroup": {"numNodeGroups"}, "Dashboard": {"dashboardBody"}}.get(kind, set[str]())
        wrong += [f"{resource}: {name}" for name in names if name not in allowed]
    if wrong:
        raise ProgramError(
            "with only shardCount changed the program must alter nothing but the replication group's numNodeGroups and "
            f"the dashboard's body; it also alters {'; '.join(wrong)}"
        )


def _run(config: Mapping[str, str], stack: str) -> list[dict[str, Any]]:
    """Run the program in this process. Imports Pulumi here: the parent needs none of it."""
    import pulumi  # noqa: PLC0415 - takes two seconds, which only this process needs
    from pulumi.runtime import stack as runtime_stack  # noqa: PLC0415

    registered: list[dict[str, Any]] = []

    class Stand(pulumi.runtime.Mocks):
        """Gives every resource the outputs that others refer to, under recognisable names."""

        def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
            kind = args.typ.rsplit(":", 1)[-1]
            outputs = {**_outputs(kind, args.name), **args.inputs}
            registered.append(
                {
                    "type": args.typ,
                    "name": args.name,
                    "inputs": _plain(args.inputs),
                    "outputs": _plain({**outputs, "id": args.name}),
                }
            )
            return args.name, outputs

        def call(  # pyright: ignore[reportIncompatibleMethodOverride] - the base promises less than it accepts
            self, args: pulumi.runtime.MockCallArgs
        ) -> dict[str, Any]:
            answers: dict[str, dict[str, Any]] = {
                "aws:index/getRegion:getRegion": {"region": _REGION, "id": _REGION, "name": _REGION},
                "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": [_REGION + zone for zone in "abc"]},
                "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": _ACCOUNT, "id": _ACCOUNT},
                "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "rehearsal"},
            }
            return answers.get(args.token, {})

    async def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="declared")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(Stand(), project=infra_settings.project_name(), stack=stack, preview=False)
    pulumi.runtime.set_all_config(dict(config))
    try:
        loop.run_until_complete(runtime_stack.run_pulumi_func(program))
        loop.run_until_complete(runtime_stack.wait_for_rpcs())
    finally:
        loop.close()
    return sorted(registered, key=lambda resource: (resource["type"], resource["name"]))


def _outputs(kind: str, name: str) -> dict[str, Any]:
    """The outputs that AWS would generate, as far as the program uses them."""
    slug = re.sub(r"\W+", "-", name)
    common: dict[str, Any] = {"arn": f"arn:aws:{kind.lower()}:{_REGION}:{_ACCOUNT}:{slug}", "name": slug}
    specific: dict[str, dict[str, Any]] = {
        "ReplicationGroup": {"configurationEndpointAddress": f"{slug}.clustercfg.{_REGION}.invalid"},
        "LoadBalancer": {"dnsName": f"internal-{slug}.elb.{_REGION}.invalid", "arnSuffix": f"app/{slug}/0"},
        "Repository": {"repositoryUrl": f"{_ACCOUNT}.dkr.ecr.{_REGION}.invalid/{slug}", "registryId": _ACCOUNT},
        "Image": {"repoDigest": f"{slug}@sha256:{'0' * 64}"},
        "Bucket": {"bucket": slug},
    }
    return {**common, **specific.get(kind, {})}


def _plain(value: Any) -> Any:
    """A value as JSON has it: assets as the path or text they hold, archives a mapping of those, secrets unwrapped."""
    import pulumi  # noqa: PLC0415 - see _run
    from pulumi.runtime import rpc  # noqa: PLC0415 - see _run

    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, pulumi.AssetArchive):
        assets = cast("Mapping[str, object]", value.assets)
        return {"archive": {name: _plain(asset) for name, asset in sorted(assets.items())}}
    if isinstance(value, pulumi.FileAsset | pulumi.FileArchive):
        return {"file": str(value.path)}
    if isinstance(value, pulumi.StringAsset):
        return {"text": value.text}
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return {str(name): _plain(entry) for name, entry in mapping.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in cast("list[object]", value)]
    return value


if __name__ == "__main__":
    _request = json.load(sys.stdin)
    Path(sys.argv[1]).write_text(json.dumps(_run(_request["config"], _request["stack"])))
