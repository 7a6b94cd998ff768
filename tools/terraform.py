"""The declared resources as an equivalent Terraform template, for scanners that know Terraform and not Pulumi.

    python -m tools.terraform > main.tf.json

Pulumi's AWS provider is generated from Terraform's: the same inputs under other names. Values that Pulumi resolved are
written as references again, so that a scanner sees how resources are connected.
"""

import json
import re
import sys
from typing import Any

import pulumi

from tests.infra.program import SUFFIX, Declared, Program, arn, declare

TYPES = {
    "ec2.Eip": "aws_eip",
    "lb.LoadBalancer": "aws_lb",
    "vpc.SecurityGroupEgressRule": "aws_vpc_security_group_egress_rule",
    "vpc.SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
    "servicediscovery.PrivateDnsNamespace": "aws_service_discovery_private_dns_namespace",
    "servicediscovery.Service": "aws_service_discovery_service",
}
# Lists of blocks that Pulumi names in the plural.
SINGULAR = {
    "rules": "rule",
    "parameters": "parameter",
    "encryptionConfigurations": "encryption_configuration",
    "defaultActions": "default_action",
    "dnsRecords": "dns_records",
}
VERBATIM = {"tags", "variables"}  # maps whose keys are the user's
# Where several resources share a name, the input's name tells which type an id belongs to.
HINTS = (
    ("security_group", "aws_security_group"),
    ("subnet", "aws_subnet"),
    ("vpc", "aws_vpc"),
    ("bucket", "aws_s3_bucket"),
    ("route_table", "aws_route_table"),
    ("role", "aws_iam_role"),
    ("repository", "aws_ecr_repository"),
    ("log_group", "aws_cloudwatch_log_group"),
    ("namespace", "aws_service_discovery_private_dns_namespace"),
    ("parameter_group", "aws_elasticache_parameter_group"),
    ("allocation_id", "aws_eip"),
    ("nat_gateway", "aws_nat_gateway"),
    ("gateway", "aws_internet_gateway"),
    ("function", "aws_lambda_function"),
    ("user_group", "aws_elasticache_user_group"),
    ("user", "aws_elasticache_user"),
)


def snake(name: str) -> str:
    """`atRestEncryptionEnabled` -> `at_rest_encryption_enabled`."""
    return SINGULAR.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def terraform_type(resource: Declared) -> str:
    """`ec2.NatGateway` -> `aws_nat_gateway`, `lambda.Function` -> `aws_lambda_function`."""
    module, name = resource.short_type.split(".")
    prefix = "" if module == "ec2" else module + "_"
    return TYPES.get(resource.short_type) or f"aws_{prefix}{snake(name)}"


class _References:
    """Turns the mocked cloud's answers back into references."""

    def __init__(self, resources: list[Declared]) -> None:
        self._ids = {(terraform_type(r), r.name + SUFFIX): f"{terraform_type(r)}.{r.name}" for r in resources}
        self._arns = {arn(r.type, r.name + SUFFIX): f"${{{terraform_type(r)}.{r.name}.arn}}" for r in resources}

    def _text(self, text: str, key: str) -> str:
        for hint, kind in HINTS:
            if hint in key and (kind, text) in self._ids:
                return f"${{{self._ids[kind, text]}.id}}"
        for known in sorted(self._arns, key=len, reverse=True):
            text = text.replace(known, self._arns[known])
        return text

    def value(self, value: Any, key: str) -> Any:
        """An input's value as Terraform writes it."""
        if isinstance(value, pulumi.Archive):
            return "function.zip"
        if isinstance(value, dict) and key not in VERBATIM:
            return {snake(str(k)): self.value(v, snake(str(k))) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return self._text(value, key) if isinstance(value, str) else value


def render(program: Program) -> dict[str, Any]:
    """The template; the image is Docker's and left out."""
    resources = [resource for resource in program if resource.type.startswith("aws:")]
    references = _References(resources)
    template: dict[str, dict[str, Any]] = {}
    for resource in resources:
        body = {snake(key): references.value(item, snake(key)) for key, item in resource.inputs.items()}
        if "code" in body:
            body["filename"] = body.pop("code")
        template.setdefault(terraform_type(resource), {})[resource.name] = body
    return {"provider": {"aws": {"region": "eu-west-1"}}, "resource": template}


if __name__ == "__main__":
    json.dump(render(declare()), sys.stdout, indent=1)
