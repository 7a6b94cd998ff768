"""Elastic Load Balancing: what the provider sends to create the balancer, its target group and its listener."""

from typing import Any

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import Call, Creation, Own, UnmappedError
from tests.infra.program import ACCOUNT, REGION

_ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:{{}}"
_ID = "0123456789abcdef"

# loadBalancerAttributes: what an application load balancer's attributes are called in the program, in ELB, and what the
# provider sends for them undeclared. It sends all of them, always.
_BALANCER_ATTRIBUTES: tuple[tuple[str, str, Any], ...] = (
    ("clientKeepAlive", "client_keep_alive.seconds", 3600),
    ("desyncMitigationMode", "routing.http.desync_mitigation_mode", "defensive"),
    ("dropInvalidHeaderFields", "routing.http.drop_invalid_header_fields.enabled", False),
    ("enableDeletionProtection", "deletion_protection.enabled", False),
    ("enableHttp2", "routing.http2.enabled", True),
    (
        "enableTlsVersionAndCipherSuiteHeaders",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        False,
    ),
    ("enableWafFailOpen", "waf.fail_open.enabled", False),
    ("enableXffClientPort", "routing.http.xff_client_port.enabled", False),
    ("enableZonalShift", "zonal_shift.config.enabled", False),
    ("idleTimeout", "idle_timeout.timeout_seconds", 60),
    ("preserveHostHeader", "routing.http.preserve_host_header.enabled", False),
    ("xffHeaderProcessingMode", "routing.http.xff_header_processing.mode", "append"),
)


def _call(operation: str, **parameters: Any) -> Call:
    return Call("elbv2", operation, parameters)


def _attribute(key: str, value: Any) -> dict[str, str]:
    return {"Key": key, "Value": str(value).lower() if isinstance(value, bool) else str(value)}


def _load_balancer(inputs: Inputs, own: Own) -> list[Call]:
    create = inputs.always({"loadBalancerType": "Type"}, loadBalancerType="application")
    if create["Type"] != "application":
        raise UnmappedError(f"loadBalancerType = {create['Type']!r}: attributes of other types")
    if inputs("internal"):
        create["Scheme"] = "internal"
    create |= inputs.if_set({"securityGroups": "SecurityGroups", "subnets": "Subnets"})
    attributes = [_attribute("access_logs.s3.enabled", False), _attribute("connection_logs.s3.enabled", False)]
    attributes += [_attribute(key, inputs(declared, default)) for declared, key, default in _BALANCER_ATTRIBUTES]
    return [
        _call("CreateLoadBalancer", Name=own.name, Tags=pairs(inputs.words("tags")), **create),
        _call(
            "ModifyLoadBalancerAttributes",
            LoadBalancerArn=_ARN.format(f"loadbalancer/app/{own.name}/{_ID}"),
            Attributes=attributes,
        ),
    ]


def _target_group(inputs: Inputs, own: Own) -> list[Call]:
    """A health_check block, even one that only says enabled=False, sends four values; the timeout only if declared."""
    create = inputs.always({"targetType": "TargetType"}, targetType="instance")
    if create["TargetType"] != "lambda":
        raise UnmappedError(f"targetType = {create['TargetType']!r}: ports and protocols of other targets")
    if check := inputs.block("healthCheck"):
        create |= check.always(
            {
                "enabled": "HealthCheckEnabled",
                "interval": "HealthCheckIntervalSeconds",
                "healthyThreshold": "HealthyThresholdCount",
                "unhealthyThreshold": "UnhealthyThresholdCount",
            },
            enabled=True,
            interval=30,
            healthyThreshold=3,
            unhealthyThreshold=3,
        )
        create |= check.if_set({"timeout": "HealthCheckTimeoutSeconds", "path": "HealthCheckPath"})
        if codes := check("matcher"):
            create["Matcher"] = {"HttpCode": codes}
    return [_call("CreateTargetGroup", Name=own.name, Tags=pairs(inputs.words("tags")), **create)]


def _target_group_attachment(inputs: Inputs, _: Own) -> list[Call]:
    register = inputs.always({"targetGroupArn": "TargetGroupArn"})
    return [_call("RegisterTargets", Targets=[inputs.always({"targetId": "Id"})], **register)]


def _listener(inputs: Inputs, own: Own) -> list[Call]:
    """The attributes of an HTTP listener are strings, sent if declared, and one boolean, which is always sent."""
    create = inputs.always({"loadBalancerArn": "LoadBalancerArn"}) | inputs.if_set(
        {"port": "Port", "protocol": "Protocol"}
    )
    create["DefaultActions"] = [
        {"Order": place, **action.always({"type": "Type"}), **action.if_set({"targetGroupArn": "TargetGroupArn"})}
        for place, action in enumerate(inputs.blocks("defaultActions"), 1)
    ]
    server = _attribute("routing.http.response.server.enabled", inputs("routingHttpResponseServerEnabled", False))
    return [
        _call("CreateListener", Tags=pairs(inputs.words("tags")), **create),
        _call(
            "ModifyListenerAttributes",
            ListenerArn=_ARN.format(f"listener/app/{own.name}/{_ID}/{_ID}"),
            Attributes=[server],
        ),
    ]


CREATIONS = {
    "lb.LoadBalancer": Creation("elbv2/load_balancer.go@00edc94be7a8", _load_balancer),
    "lb.TargetGroup": Creation("elbv2/target_group.go@013cfb4cddc9", _target_group),
    "lb.TargetGroupAttachment": Creation("elbv2/target_group_attachment.go@07e0d0b940f5", _target_group_attachment),
    "lb.Listener": Creation("elbv2/listener.go, 6.x", _listener),
}
