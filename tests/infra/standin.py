"""Stand-ins for the AWS and the Docker provider, so that the real Pulumi engine can run the real program anywhere.

`python standin.py aws` (or docker) is what the engine starts as `pulumi-resource-aws`: a gRPC server that prints its
port. It creates nothing. It names resources as the real provider does, answers with the outputs that the program uses,
decides what a change means (in place, or a replacement), and writes down every operation in $STANDIN_LOG.

Its rules for the replication group and the image are those of AWS's and Docker's providers; other resources change in
place, but for task definitions, which are never changed.
"""

# The methods are gRPC's: their names, their arguments and what they mean are those of Pulumi's protocol.
# ruff: noqa: D102, N802, ARG002

import hashlib
import json
import os
import secrets
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # how the engine writes "known after the update"
ACCOUNT = "123456789012"
REGION = "eu-west-1"

# Types that Pulumi names itself when the program does not: the input that holds the name, and AWS's longest name.
NAMED = {
    "aws:elasticache/replicationGroup:ReplicationGroup": ("replicationGroupId", 40),
    "aws:elasticache/subnetGroup:SubnetGroup": ("name", 255),
    "aws:elasticache/parameterGroup:ParameterGroup": ("name", 255),
    "aws:lb/loadBalancer:LoadBalancer": ("name", 32),
    "aws:lb/targetGroup:TargetGroup": ("name", 32),
    "aws:lambda/function:Function": ("name", 64),
    "aws:iam/role:Role": ("name", 64),
    "aws:iam/rolePolicy:RolePolicy": ("name", 128),
    "aws:cloudwatch/logGroup:LogGroup": ("name", 512),
    "aws:ecr/repository:Repository": ("name", 256),
    "aws:s3/bucket:Bucket": ("bucket", 63),
    "aws:ecs/cluster:Cluster": ("name", 255),
    "aws:ecs/service:Service": ("name", 255),
    "aws:ec2/securityGroup:SecurityGroup": ("name", 255),
    "aws:budgets/budget:Budget": ("name", 100),
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": ("name", 253),
}

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
REPLACING = {
    GROUP: {
        "replicationGroupId", "subnetGroupName", "port", "atRestEncryptionEnabled", "kmsKeyId", "networkType",
        "dataTieringEnabled", "snapshotName", "snapshotArns", "nodeGroupConfigurations",
    },
}  # fmt: skip


def version(text: str) -> tuple[int, ...]:
    """`8.1` -> (8, 1)."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def replaces(kind: str, old: dict[str, Any], new: dict[str, Any], changed: set[str]) -> set[str]:
    """Which of the changed inputs AWS cannot change in place."""
    if kind == "aws:ecs/taskDefinition:TaskDefinition":
        return changed - {"tags"}
    named = {NAMED[kind][0]} if kind in NAMED else set[str]()
    replacing = changed & (REPLACING.get(kind, set[str]()) | named)
    if kind == GROUP:
        # Another engine, or an older version of the same one; from redis to valkey is an upgrade.
        if "engine" in changed and (old["engine"], new["engine"]) != ("redis", "valkey"):
            replacing.add("engine")
        elif "engineVersion" in changed and version(new["engineVersion"]) < version(old["engineVersion"]):
            replacing.add("engineVersion")
    return replacing


def comparable(value: Any) -> Any:
    """Archives and assets compare by the hash that the engine took of their contents, not by where they came from."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value and "hash" in value:
            return value["hash"]
        return {key: comparable(item) for key, item in value.items()}
    return [comparable(item) for item in value] if isinstance(value, list) else value


def changed_inputs(kind: str, old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """The inputs that differ, as the provider sees them."""
    ignored = {"__defaults"}
    if kind == "docker:index/image:Image":
        # ECR's password is another one each time; Docker's provider rebuilds for another server only.
        same_server = old.get("registry", {}).get("server") == new.get("registry", {}).get("server")
        ignored |= {"registry"} if same_server else set()
    keys = (old.keys() | new.keys()) - ignored
    return {key for key in keys if comparable(old.get(key)) != comparable(new.get(key))}


def context_digest(context: Path) -> str:
    """Names, modes and contents of the build context: what Docker's provider rebuilds on."""
    digest = hashlib.sha256()
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(context).as_posix()} {path.stat().st_mode:o} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def outputs(
    kind: str, name: str, inputs: dict[str, Any], *, preview: bool, old: dict[str, Any] | None
) -> dict[str, Any]:
    """The properties of the resource; computed ones are unknown while a new resource is only previewed."""
    old = old or {}
    service, short = kind.split(":")[1].split("/", maxsplit=1)[0], kind.rsplit(":", 1)[1]
    made: dict[str, Any] = {"arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{short.lower()}/{name}"}
    match short:
        case "ReplicationGroup":
            made["configurationEndpointAddress"] = f"{name}.abc123.clustercfg.euw1.cache.amazonaws.com"
        case "LoadBalancer":
            made |= {"dnsName": f"internal-{name}.{REGION}.elb.amazonaws.com", "arnSuffix": f"app/{name}/0123"}
        case "Repository":
            made |= {"repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}", "registryId": ACCOUNT}
        case "TaskDefinition":
            made |= {"revision": 1, "arn": f"{made['arn']}:{secrets.randbelow(10**6)}"}
        case "Image":
            digest = hashlib.sha256(json.dumps(inputs["build"], sort_keys=True).encode()).hexdigest()
            made = {"repoDigest": f"{str(inputs.get('imageName')).rsplit(':', 1)[0]}@sha256:{digest}"}
        case _:
            made |= {"name": name}
    computed = {key: old.get(key, UNKNOWN) if preview else value for key, value in made.items()}
    if short == "ReplicationGroup":
        count = inputs["numNodeGroups"] * (1 + inputs["replicasPerNodeGroup"])
        resized = old.get("numNodeGroups") != inputs["numNodeGroups"]
        members = [f"{name}-{place:03d}" for place in range(int(count))]
        computed["memberClusters"] = UNKNOWN if preview and resized else members
    return {**computed, **inputs}


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """One provider of the engine's protocol."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._log = Path(os.environ["STANDIN_LOG"])

    def _note(self, operation: str, urn: str, **more: Any) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"op": operation, "urn": urn, **more}) + "\n")

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="99.0.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getRegion:getRegion": {"region": REGION, "id": REGION},
            "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": [f"{REGION}{zone}" for zone in "abc"]},
            # Another password each time, as ECR gives.
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
                "userName": "AWS",
                "password": secrets.token_hex(8),
            },
        }
        if request.tok not in answers:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in knows no {request.tok}")
        return provider_pb2.InvokeResponse(**{"return": _struct(answers[request.tok])})

    def Check(self, request: Any, context: Any) -> Any:
        kind, logical = request.urn.split("::")[2].split("$")[-1], request.urn.rsplit("::", 1)[1]
        news, olds = _dict(request.news), _dict(request.olds)
        failures: list[Any] = []
        if kind in NAMED:
            key, limit = NAMED[kind]
            news.setdefault(key, olds.get(key) or f"{logical}-{secrets.token_hex(4)[:7]}")
            if len(str(news[key])) > limit and news[key] != UNKNOWN:
                failures.append(provider_pb2.CheckFailure(property=key, reason=f"{news[key]} is over {limit} long"))
        if kind == "docker:index/image:Image" and news["build"]["context"] != UNKNOWN:
            news["build"]["contextDigest"] = context_digest(Path(news["build"]["context"]))
        return provider_pb2.CheckResponse(inputs=_struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        kind = request.urn.split("::")[2].split("$")[-1]
        old, new = _dict(request.old_inputs), _dict(request.news)
        changed = changed_inputs(kind, old, new) - set(request.ignoreChanges)
        diff = provider_pb2.DiffResponse
        return diff(
            changes=diff.DIFF_SOME if changed else diff.DIFF_NONE,
            diffs=sorted(changed),
            replaces=sorted(replaces(kind, old, new, changed)),
        )

    def Create(self, request: Any, context: Any) -> Any:
        kind, logical = request.urn.split("::")[2].split("$")[-1], request.urn.rsplit("::", 1)[1]
        inputs = _dict(request.properties)
        name = str(inputs.get(NAMED[kind][0])) if kind in NAMED else f"{logical}-{secrets.token_hex(4)[:7]}"
        if not request.preview:
            self._note("create", request.urn)
        made = outputs(kind, name, inputs, preview=request.preview, old=None)
        return provider_pb2.CreateResponse(id="" if request.preview else name, properties=_struct(made))

    def Update(self, request: Any, context: Any) -> Any:
        kind = request.urn.split("::")[2].split("$")[-1]
        old, new = _dict(request.old_inputs), _dict(request.news)
        if not request.preview:
            self._note("update", request.urn, changed=sorted(changed_inputs(kind, old, new)))
        made = outputs(kind, request.id, new, preview=request.preview, old=_dict(request.olds))
        return provider_pb2.UpdateResponse(properties=_struct(made))

    def Delete(self, request: Any, context: Any) -> Any:
        self._note("delete", request.urn)
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def _dict(struct: Any) -> dict[str, Any]:
    return json_format.MessageToDict(struct)


def _struct(value: dict[str, Any]) -> Any:
    return json_format.ParseDict(value, struct_pb2.Struct())


def main() -> None:
    """Serves until the engine ends the process."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16), options=[("grpc.max_receive_message_length", 2**28)]
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(StandIn(sys.argv[1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
