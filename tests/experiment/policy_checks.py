"""What a deployer's policy is held to: each check gives one line for each action or resource that is wrong."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from experiment.aws import permissions, policy
from experiment.aws.provider_calls import CallTarget, ProviderCall, TypeRow
from tests.aws.auditor import parliament
from tests.experiment import reference
from tests.experiment.iam import OPERATORS, IamRequest, allowed
from tests.infra.program import ACCOUNT, REGION, SUFFIX, Program

Policies = Mapping[str, policy.Policy]

PROJECT = "elasticache-cluster-mode"
ID = "0123456789abcdef0"
CALLER = {"aws:username": "deployer", "aws:userid": "AIDAEXAMPLE"}
# Placeholders of the reference's ARNs that are the name of a declared resource: its type, and the property that has it
# where the program sets one.
NAMES = {
    "BucketName": ("s3.Bucket", ""),
    "BudgetName": ("budgets.Budget", ""),
    "CacheParameterGroupName": ("elasticache.ParameterGroup", ""),
    "CacheSubnetGroupName": ("elasticache.SubnetGroup", ""),
    "ClusterName": ("ecs.Cluster", ""),
    "DashboardName": ("cloudwatch.Dashboard", "dashboardName"),
    "FunctionName": ("lambda.Function", ""),
    "LoadBalancerName": ("lb.LoadBalancer", ""),
    "LogGroupName": ("cloudwatch.LogGroup", ""),
    "ReplicationGroupId": ("elasticache.ReplicationGroup", ""),
    "RepositoryName": ("ecr.Repository", ""),
    "RoleNameWithPath": ("iam.Role", ""),
    "ServiceName": ("ecs.Service", ""),
    "TargetGroupName": ("lb.TargetGroup", ""),
    "TaskDefinitionFamilyName": ("ecs.TaskDefinition", "family"),
    "UserGroupId": ("elasticache.UserGroup", "userGroupId"),
    "UserId": ("elasticache.User", "userId"),
}
SET = {
    "Account": ACCOUNT,
    "DocumentName": "AWS-StartPortForwardingSession",
    "ObjectName": "runs/2026/run.json",
    "Partition": "aws",
    "Region": REGION,
    "SessionId": f"deployer-{ID}",
    "TaskDefinitionRevisionNumber": "7",
}


class StackNames:
    """The names and tags of one declared stack, or those of a stranger's that `rename` makes of them."""

    def __init__(self, program: Program, stack: str, rename: Callable[[str], str] = str) -> None:
        self.tags = {"Project": PROJECT, "Stack": stack}
        self.names: dict[str, list[str]] = {key: [value] for key, value in SET.items()}
        for placeholder, (short_type, name_input) in NAMES.items():
            self.names[placeholder] = [
                rename(str(resource.inputs[name_input]) if name_input else resource.name + SUFFIX)
                for resource in program.of(short_type)
            ]
        self.names["CacheClusterId"] = [f"{group}-0001-001" for group in self.names["ReplicationGroupId"]]
        self.names["TaskId"] = [f"{cluster}/{ID}" for cluster in self.names["ClusterName"]]
        self.attached = [str(resource.inputs["policyArn"]) for resource in program.of("iam.RolePolicyAttachment")]

    def arns(self, raw: str) -> list[str]:
        """Every ARN of a type that this stack has."""
        placeholders = re.findall(r"\$\{(\w+)\}", raw)
        arns: list[str] = []
        for values in itertools.product(*(self.names.get(name, [ID]) for name in placeholders)):
            arn = raw
            for name, value in zip(placeholders, values, strict=True):
                arn = arn.replace("${" + name + "}", value)
            arns.append(arn)
        return arns

    def requests(self, call: ProviderCall, target: CallTarget) -> list[IamRequest]:
        """What AWS decides on for one target of a call, at the moment of the call."""
        context = dict(CALLER)
        if target.service:
            context[permissions.SERVICE_KEY[call.action]] = target.service
        if target.how in ("new", "created", "marked"):
            context |= {f"aws:RequestTag/{key}": value for key, value in self.tags.items()}
        if target.how == "tagged":
            context |= {f"aws:ResourceTag/{key}": value for key, value in self.tags.items()}
        if target.how == "any":
            return [IamRequest(call.action, "*", context)]
        if target.kind == "service-role":
            role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{target.service}/AWSServiceRole"
            return [IamRequest(call.action, role, context)]
        arns = self.arns(reference.kinds(call.action)[target.kind])
        if call.action == "iam:AttachRolePolicy":
            return [
                IamRequest(call.action, arn, {**context, "iam:PolicyARN": own}) for arn in arns for own in self.attached
            ]
        if call.service == "logs":
            arns += [f"{arn}:*" for arn in arns]
        return [IamRequest(call.action, arn, context) for arn in arns]


def _made_by(row: TypeRow) -> list[str]:
    """The creating action of a row, as EC2 calls it in ec2:CreateAction."""
    return [
        call.action.split(":")[1] for call in row.calls["create"] if any(target.how == "new" for target in call.targets)
    ]


def asked(
    program: Program, stack: StackNames, rows: Mapping[str, TypeRow]
) -> Iterator[tuple[ProviderCall, CallTarget, IamRequest]]:
    """Every request that deploying, changing and destroying this program makes."""
    declared = {resource.type for resource in program}
    for row in rows.values():
        if ":" in row.type and row.type not in declared:
            continue
        for call in row:
            for target in call.targets:
                for request in stack.requests(call, target):
                    if target.how != "created":
                        yield call, target, request
                        continue
                    for action in _made_by(row):
                        context = {**request.context, "ec2:CreateAction": action}
                        yield call, target, IamRequest(request.action, request.arn, context)


def refused(made: Policies, program: Program, stack: StackNames, rows: Mapping[str, TypeRow]) -> list[str]:
    """Requests of the table that the policies refuse."""
    wrong = {str(request) for _, _, request in asked(program, stack, rows) if not allowed(made.values(), request)}
    return sorted(f"{line}: refused, and the deployment asks for it" for line in wrong)


def granted(made: Policies, program: Program, stranger: StackNames, rows: Mapping[str, TypeRow]) -> list[str]:
    """Requests on what bears a stranger's name or tags that the policies allow."""
    return sorted(
        {
            f"{request}: allowed, and it is a stranger's"
            for call, target, request in asked(program, stranger, rows)
            if target.how in ("named", "marked", "tagged")
            # The one document, and what only creates, are nobody's.
            if target.kind not in ("document", "service-role", "session")
            if reference.level(call.action) in reference.CHANGES
            if allowed(made.values(), request)
        }
    )


def unlimited(made: Policies, rows: Mapping[str, TypeRow], wide: Iterable[str]) -> list[str]:
    """Actions that change something and are allowed on a stranger's resource, whatever the table says of them."""
    new = {
        (call.action, target.kind)
        for row in rows.values()
        for call in row
        for target in call.targets
        if target.how == "new"
    }
    context = {**CALLER, "aws:ResourceTag/Project": "another", "aws:ResourceTag/Stack": "another"}
    context |= {"iam:PassedToService": "lambda.amazonaws.com", "iam:AWSServiceName": "ecs.amazonaws.com"}
    context |= {f"aws:RequestTag/{key}": value for key, value in (("Project", PROJECT), ("Stack", "dev"))}
    wrong: set[str] = set()
    for action in sorted({action for _, action in _actions(made)} - set(wide)):
        if reference.level(action) not in reference.CHANGES:
            continue
        requests = [
            IamRequest(action, re.sub(r"\$\{\w+\}", "stranger", raw.replace("${Partition}", "aws")), context)
            for kind, raw in reference.kinds(action).items()
            if (action, kind) not in new and kind != "document"
        ]
        requests += [] if reference.kinds(action) else [IamRequest(action, "*", context)]
        if any(allowed(made.values(), request) for request in requests):
            wrong.add(f"{action}: allowed on what is a stranger's, and permissions.WIDE gives no reason")
    return sorted(wrong)


def _actions(made: Policies) -> Iterator[tuple[Mapping[str, Any], str]]:
    for one in made.values():
        for statement in one["Statement"]:
            for pattern in statement["Action"]:
                for action in reference.expand(pattern):
                    yield statement, action


def unknown(made: Policies) -> list[str]:
    """Actions, resource types and condition keys that the service authorization reference does not know together."""
    return sorted(
        {
            f"{statement['Sid']}: {line}"
            for one in made.values()
            for statement in one["Statement"]
            for line in (*_unknown_actions(statement), *_unknown_conditions(statement), *_unknown_resources(statement))
        }
    )


def _unknown_actions(statement: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: AWS knows no such action" for name in statement["Action"] if not reference.expand(name))


def _unknown_conditions(statement: Mapping[str, Any]) -> Iterator[str]:
    actions = [action for name in statement["Action"] for action in reference.expand(name)]
    for operator, condition in statement.get("Condition", {}).items():
        if operator not in OPERATORS:
            yield f"{operator}: allowed are {', '.join(OPERATORS)}"
        for key, action in itertools.product(condition, actions):
            if re.sub(r"(Tag)/.*", r"\1", key) not in reference.keys(action):
                yield f"{action}: does not know the condition key {key}"


def _unknown_resources(statement: Mapping[str, Any]) -> Iterator[str]:
    kinds = {
        action: reference.kinds(action).values() for name in statement["Action"] for action in reference.expand(name)
    }
    arns = [arn for arn in statement["Resource"] if arn != "*"]
    for arn in arns:
        if not any(reference.is_of(raw, arn) for raws in kinds.values() for raw in raws):
            yield f"{arn}: none of the statement's actions acts on it"
    for action, raws in kinds.items() if arns else ():
        if not any(reference.is_of(raw, arn) for arn in arns for raw in raws):
            yield f"{action}: acts on none of the statement's resources"


def mistyped(rows: Mapping[str, TypeRow]) -> list[str]:
    """Actions of the table that AWS does not know, or checks against other resource types than the table says."""
    wrong: list[str] = []
    for row in rows.values():
        for call in row:
            if not reference.expand(call.action):
                wrong.append(f"{row.type}: {call.action}: AWS knows no such action")
                continue
            said = {target.kind.replace("service-role", "role") for target in call.targets if target.kind}
            # A listener is one of three kinds; the reference requires all of them.
            needed = {kind for kind in reference.required(call.action) if not kind.endswith(("/gwy", "/net"))}
            lacking = needed - said if said else set[str]()
            wrong += [
                f"{row.type}: {call.action}: acts on no {kind}" for kind in said - set(reference.kinds(call.action))
            ]
            wrong += [f"{row.type}: {call.action}: is checked against a {kind}, too" for kind in lacking]
    return sorted(wrong)


def too_large(made: Policies) -> list[str]:
    """Policies beyond what IAM takes."""
    return [f"{name}: {policy.size(one)} characters" for name, one in made.items() if policy.size(one) > policy.LIMIT]


def linted(made: Policies) -> list[str]:
    """What parliament finds, but for three kinds of finding that other rules here take care of."""
    bare = {
        action
        for statement, action in _actions(made)
        if statement["Resource"] == ["*"] and "Condition" not in statement
    }
    findings: list[str] = []
    for name, one in made.items():
        for finding in parliament.analyze_policy_string(json.dumps(one)).findings:
            match finding.issue:
                case "UNKNOWN_ACTION" if reference.expand(finding.detail.split()[-1]):
                    continue  # newer than parliament's list
                case "RESOURCE_MISMATCH":
                    continue  # it wants every type that an action may take in one statement; `unknown` wants one
                case "RESOURCE_STAR" if not set(finding.detail) & bare - set(permissions.WIDE):
                    continue  # limited by tags, or listed with its reason
                case _:
                    findings.append(f"{name}: {finding.issue}: {finding.detail} {finding.location}")
    return findings
