"""Services of which the program uses a type or two: what the provider sends to create them."""

import datetime as dt
from typing import Any

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import TOKEN, Call, Creation, Own
from tests.infra.program import ACCOUNT


def _repository(inputs: Inputs, own: Own) -> list[Call]:
    inputs.unsent("forceDelete")
    create = inputs.always({"imageTagMutability": "imageTagMutability"}, imageTagMutability="MUTABLE")
    if encryption := inputs.block("encryptionConfigurations"):
        create["encryptionConfiguration"] = encryption.always({"encryptionType": "encryptionType"})
    if scanning := inputs.block("imageScanningConfiguration"):
        create["imageScanningConfiguration"] = scanning.always({"scanOnPush": "scanOnPush"})
    return [
        Call("ecr", "CreateRepository", {"repositoryName": own.name, "tags": pairs(inputs.words("tags")), **create})
    ]


def _image_lifecycle(inputs: Inputs, _: Own) -> list[Call]:
    put = inputs.always({"policy": "lifecyclePolicyText", "repository": "repositoryName"})
    return [Call("ecr", "PutLifecyclePolicy", put)]


def _log_group(inputs: Inputs, own: Own) -> list[Call]:
    calls = [Call("logs", "CreateLogGroup", {"logGroupName": own.name, "tags": inputs.words("tags")})]
    if days := inputs("retentionInDays"):
        calls.append(Call("logs", "PutRetentionPolicy", {"logGroupName": own.name, "retentionInDays": days}))
    return calls


def dashboard(inputs: Inputs, _: Own) -> list[Call]:
    """resourceDashboardPut: the same request creates and changes it."""
    put = inputs.always({"dashboardBody": "DashboardBody", "dashboardName": "DashboardName"})
    return [Call("cloudwatch", "PutDashboard", put)]


def _namespace(inputs: Inputs, own: Own) -> list[Call]:
    create = inputs.always({"vpc": "Vpc"}) | inputs.if_set({"description": "Description"})
    create |= {"CreatorRequestId": TOKEN, "Name": own.name, "Tags": pairs(inputs.words("tags"))}
    return [Call("servicediscovery", "CreatePrivateDnsNamespace", create)]


def _discovery(inputs: Inputs, _: Own) -> list[Call]:
    inputs.unsent("forceDestroy")
    create = inputs.always({"name": "Name"}) | inputs.if_set({"description": "Description"})
    create |= {"CreatorRequestId": TOKEN, "Tags": pairs(inputs.words("tags"))}
    if names := inputs.block("dnsConfig"):
        create["DnsConfig"] = names.if_set({"namespaceId": "NamespaceId", "routingPolicy": "RoutingPolicy"})
        create["DnsConfig"]["DnsRecords"] = [
            record.always({"ttl": "TTL", "type": "Type"}) for record in names.blocks("dnsRecords")
        ]
    return [Call("servicediscovery", "CreateService", create)]


def _expression(inputs: Inputs) -> dict[str, Any]:
    """expandFilterExpression, as far as the program goes: tags, and expressions joined with "and"."""
    sent: dict[str, Any] = {}
    if tags := inputs.block("tags"):
        sent["Tags"] = tags.if_set({"key": "Key", "values": "Values", "matchOptions": "MatchOptions"})
    if parts := inputs.blocks("ands"):
        sent["And"] = [_expression(part) for part in parts]
    return sent


def _budget(inputs: Inputs, own: Own) -> list[Call]:
    """`metrics` is newer than the file that was read: pulumi_aws's own description says what it is."""
    budget = inputs.always({"budgetType": "BudgetType", "timeUnit": "TimeUnit"})
    limit = inputs.if_set({"limitAmount": "Amount", "limitUnit": "Unit"})
    budget |= {"BudgetName": own.name, "TimePeriod": {"End": dt.datetime(2087, 6, 15, tzinfo=dt.UTC)}}
    if len(limit) == 2:
        budget["BudgetLimit"] = limit
    if metric := inputs("metrics"):
        budget["Metrics"] = [metric]
    if expression := inputs.block("filterExpression"):
        budget["FilterExpression"] = _expression(expression)
    tags = pairs(inputs.words("tags"))
    calls = [Call("budgets", "CreateBudget", {"AccountId": ACCOUNT, "Budget": budget, "ResourceTags": tags})]
    for block in inputs.blocks("notifications"):
        notification = block.always(
            {
                "comparisonOperator": "ComparisonOperator",
                "threshold": "Threshold",
                "thresholdType": "ThresholdType",
                "notificationType": "NotificationType",
            }
        )
        people = [{"SubscriptionType": "EMAIL", "Address": to} for to in block("subscriberEmailAddresses", [])]
        create = {"AccountId": ACCOUNT, "BudgetName": own.name, "Notification": notification, "Subscribers": people}
        calls.append(Call("budgets", "CreateNotification", create))
    return calls


CREATIONS = {
    "ecr.Repository": Creation("ecr/repository.go@0072eea2d604", _repository),
    "ecr.LifecyclePolicy": Creation("ecr/lifecycle_policy.go@00a35305dc1b", _image_lifecycle),
    "cloudwatch.LogGroup": Creation("logs/group.go@0073593e7d69", _log_group),
    "cloudwatch.Dashboard": Creation("cloudwatch/dashboard.go@0620f2a6a126", dashboard),
    "servicediscovery.PrivateDnsNamespace": Creation(
        "servicediscovery/private_dns_namespace.go@00a35305dc1b", _namespace
    ),
    "servicediscovery.Service": Creation("servicediscovery/service.go@034cebb6d5e3", _discovery),
    "budgets.Budget": Creation("budgets/budget.go, 6.x", _budget),
}
