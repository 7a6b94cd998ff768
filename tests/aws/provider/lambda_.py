"""Lambda: what the provider sends to create the functions and to let the balancer call one."""

from typing import Any

from tests.aws.inputs import Inputs
from tests.aws.provider.call import Call, Creation, Own


def _call(operation: str, **parameters: Any) -> Call:
    return Call("lambda", operation, parameters)


def _function(inputs: Inputs, own: Own) -> list[Call]:
    """The archive's own content is none of a model's business: it only has to be there."""
    inputs.unsent("code")
    create = inputs.always(
        {
            "description": "Description",
            "memorySize": "MemorySize",
            "packageType": "PackageType",
            "publish": "Publish",
            "role": "Role",
            "timeout": "Timeout",
            "handler": "Handler",
            "runtime": "Runtime",
        },
        description="",
        memorySize=128,
        packageType="Zip",
        publish=False,
        timeout=3,
    )
    if "code" in inputs:
        create["Code"] = {"ZipFile": b"the archive"}
    create |= inputs.if_set({"architectures": "Architectures"})
    environment = inputs.block("environment")
    if environment and (variables := environment.words("variables")):
        create["Environment"] = {"Variables": variables}
    if logging := inputs.block("loggingConfig"):
        create["LoggingConfig"] = logging.if_set({"logFormat": "LogFormat", "logGroup": "LogGroup"})
    if tracing := inputs.block("tracingConfig"):
        create["TracingConfig"] = tracing.always({"mode": "Mode"})
    if vpc := inputs.block("vpcConfig"):
        create["VpcConfig"] = vpc.always(
            {
                "ipv6AllowedForDualStack": "Ipv6AllowedForDualStack",
                "securityGroupIds": "SecurityGroupIds",
                "subnetIds": "SubnetIds",
            },
            ipv6AllowedForDualStack=False,
        )
    calls = [_call("CreateFunction", FunctionName=own.name, Tags=inputs.words("tags"), **create)]
    reserved = inputs("reservedConcurrentExecutions", -1)
    if reserved >= 0:
        calls.append(_call("PutFunctionConcurrency", FunctionName=own.name, ReservedConcurrentExecutions=reserved))
    return calls


def _permission(inputs: Inputs, own: Own) -> list[Call]:
    add = inputs.always({"action": "Action", "function": "FunctionName", "principal": "Principal"})
    return [_call("AddPermission", StatementId=own.name, **add, **inputs.if_set({"sourceArn": "SourceArn"}))]


CREATIONS = {
    "lambda.Function": Creation("lambda/function.go@0156d84e6bb4", _function),
    "lambda.Permission": Creation("lambda/permission.go@04592f03e5d8", _permission),
}
