"""Who may talk to whom, and who may do what: nothing more than the experiment needs."""

import json
from typing import Any

import pytest

from tests.infra.program import ACCOUNT, SUFFIX, Declared, Program, declare
from tools.terraform import render

# from, to, port: the whole of the traffic that security groups let through.
REACHABLE = {
    ("function", "cache", 6379),
    ("worker", "balancer", 80),
    ("worker", "master", 5557),
    # AWS's APIs (images, logs, results, metrics, the port-forward), by way of the NAT gateway and the S3 endpoint.
    ("master", "0.0.0.0/0", 443),
    ("worker", "0.0.0.0/0", 443),
}

# Actions without a resource to name, each with why; anything else with "*" fails.
ANYWHERE = {
    "ecr:GetAuthorizationToken": "the login is the account's",
    "ec2:DescribeSubnets": "AWS defines no resource for it",
    "xray:PutTraceSegments": "X-Ray has no resources",
    "xray:PutTelemetryRecords": "X-Ray has no resources",
    "elasticache:DescribeEvents": "AWS defines no resource for it",
    "cloudwatch:GetMetricData": "AWS defines no resource for it",
    "ssmmessages:CreateControlChannel": "AWS defines no resource for it",
    "ssmmessages:CreateDataChannel": "AWS defines no resource for it",
    "ssmmessages:OpenControlChannel": "AWS defines no resource for it",
    "ssmmessages:OpenDataChannel": "AWS defines no resource for it",
}


def group_of(program: Program, group_id: str) -> str:
    """The part that a security group is for, by the group's id."""
    names = {f"dev-{part}": part for part in ("cache", "function", "balancer", "master", "worker")}
    (name,) = {r.name for r in program.of("ec2.SecurityGroup") if group_id.startswith(r.name)}
    return names[name]


def statements(program: Program) -> list[tuple[Declared, dict[str, Any]]]:
    """Every statement of every policy that lets somebody do something."""
    return [
        (policy, statement)
        for policy in program.of("iam.RolePolicy")
        for statement in json.loads(policy.inputs["policy"])["Statement"]
    ]


def test_reachability() -> None:
    """Each opening connection is allowed on both sides, and there is no other rule."""
    program = declare()
    opened: set[tuple[str, str, int]] = set()
    accepted: set[tuple[str, str, int]] = set()
    for rule in [*program.of("vpc.SecurityGroupEgressRule"), *program.of("vpc.SecurityGroupIngressRule")]:
        inputs = rule.inputs
        assert inputs["ipProtocol"] == "tcp", rule.urn
        assert inputs["fromPort"] == inputs["toPort"], rule.urn
        here, port = group_of(program, inputs["securityGroupId"]), int(inputs["fromPort"])
        other = inputs.get("referencedSecurityGroupId")
        far = group_of(program, other) if other else inputs["cidrIpv4"]
        if "Egress" in rule.type:
            opened.add((here, far, port))
        else:
            accepted.add((far, here, port))
    assert opened == REACHABLE
    assert accepted == {line for line in REACHABLE if line[1] != "0.0.0.0/0"}


def test_no_rule_hides_in_a_group() -> None:
    """Groups have no inline rules, the default group has none at all, and every attachment names our own groups."""
    program = declare()
    for group in program.of("ec2.SecurityGroup"):
        assert not group.inputs.get("ingress"), group.urn
        assert not group.inputs.get("egress"), group.urn
        assert group.inputs["description"], group.urn
    default = program.one("ec2.DefaultSecurityGroup")
    assert default.inputs["ingress"] == default.inputs["egress"] == []
    attached = {
        ("cache", *program.one("elasticache.ReplicationGroup").inputs["securityGroupIds"]),
        ("balancer", *program.one("lb.LoadBalancer").inputs["securityGroups"]),
        *(("function", *f.inputs["vpcConfig"]["securityGroupIds"]) for f in program.of("lambda.Function")),
        *(
            (s.name.removeprefix("dev-"), *s.inputs["networkConfiguration"]["securityGroups"])
            for s in program.of("ecs.Service")
        ),
    }
    assert {(part, group_of(program, group)) for part, group in attached} == {
        (part, part) for part in ("cache", "balancer", "function", "master", "worker")
    }


def test_nothing_listens_to_the_internet() -> None:
    """No public address but the NAT gateway's, no public balancer, and the public subnet holds nothing else."""
    program = declare()
    assert program.one("lb.LoadBalancer").inputs["internal"] is True
    for subnet in program.of("ec2.Subnet"):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False, subnet.urn
    for service in program.of("ecs.Service"):
        assert service.inputs["networkConfiguration"]["assignPublicIp"] is False, service.urn
    public = program.one("ec2.Subnet", "public")
    users = {r.short_type for r in program if public.urn in r.dependencies}
    assert users == {"ec2.NatGateway", "ec2.RouteTableAssociation"}
    routes = {(r.inputs["routeTableId"].split("-")[1], "natGatewayId" in r.inputs) for r in program.of("ec2.Route")}
    assert routes == {("public", False), ("private", True)}, "the inner subnets have no way out"


def test_the_ui_is_reached_through_the_task_only() -> None:
    """The web UI listens on the task's loopback; the exported command forwards a port to it."""
    program = declare()
    container = json.loads(program.one("ecs.TaskDefinition", "master").inputs["containerDefinitions"])[0]
    command = container["command"]
    assert command[command.index("--web-host") + 1] == "127.0.0.1"
    assert [mapping["containerPort"] for mapping in container["portMappings"]] == [5557]
    assert program.one("ecs.Service", "master").inputs["enableExecuteCommand"] is True
    assert program.one("ecs.Service", "worker").inputs["enableExecuteCommand"] is False
    assert f"portNumber={command[command.index('--web-port') + 1]}" in program.exports["openUi"]


def test_no_wildcards_without_a_reason() -> None:
    """No statement allows "*" as an action, and "*" as a resource only where AWS knows nothing narrower."""
    for policy, statement in statements(declare()):
        assert statement["Effect"] == "Allow", policy.urn
        actions, resources = statement["Action"], statement["Resource"]
        assert isinstance(actions, list), policy.urn
        assert not [action for action in actions if "*" in action], policy.urn
        for resource in resources if isinstance(resources, list) else [resources]:
            if resource == "*":
                assert set(actions) <= set(ANYWHERE), f"{policy.urn}: {statement['Sid']}"
            else:
                assert resource.startswith("arn:aws:"), policy.urn
                assert f":{ACCOUNT}:" in resource, policy.urn


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (
            "function",
            {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
            | {"ec2:DescribeSubnets"},
        ),
        (
            "pull",
            {"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"}
            | {"ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents"},
        ),
        (
            "master",
            {"s3:PutObject", "s3:GetObject", "s3:ListBucket", "elasticache:DescribeReplicationGroups"}
            | {"elasticache:DescribeEvents", "cloudwatch:GetMetricData", "ssmmessages:CreateControlChannel"}
            | {"ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"},
        ),
    ],
)
def test_what_each_role_may_do(role: str, allowed: set[str]) -> None:
    """Least privilege, spelled out: in particular nobody may make a log group again after a destroy."""
    program = declare()
    actions = {a for policy, s in statements(program) if policy.name == f"dev-{role}" for a in s["Action"]}
    assert actions == allowed


def test_roles_are_taken_by_services_only() -> None:
    """Only Lambda and ECS tasks take the roles, and the workers, which need nothing from AWS, have none."""
    program = declare()
    for role in program.of("iam.Role"):
        (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        service = "lambda.amazonaws.com" if role.name == "dev-function" else "ecs-tasks.amazonaws.com"
        assert statement["Principal"] == {"Service": service}, role.urn
    assert "taskRoleArn" not in program.one("ecs.TaskDefinition", "worker").inputs
    attached = [a.inputs["policyArn"] for a in program.of("iam.RolePolicyAttachment")]
    assert attached == ["arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"]


def test_only_the_balancer_may_invoke_the_function() -> None:
    """The permission names the target group; the audit function has no permission at all."""
    permission = declare().one("lambda.Permission")
    assert permission.inputs["principal"] == "elasticloadbalancing.amazonaws.com"
    assert "targetgroup/dev-session" in permission.inputs["sourceArn"]
    assert permission.inputs["function"].startswith("dev-session")


def test_the_bucket_is_private() -> None:
    """Encrypted, versioned, closed to the public, TLS only."""
    program = declare()
    closed = program.one("s3.BucketPublicAccessBlock").inputs
    assert all(
        closed[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    (statement,) = json.loads(program.one("s3.BucketPolicy").inputs["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    program.one("s3.BucketServerSideEncryptionConfiguration")
    assert program.one("s3.BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_users_of_the_cache() -> None:
    """With a user named, it may do what the function does and the default user nothing; without one there are none."""
    assert not declare().of("elasticache.User")
    assert "userGroupIds" not in declare().one("elasticache.ReplicationGroup").inputs
    program = declare(cacheUsername="app", cachePassword="correct-horse-battery", transitEncryption=True)
    users = {user.inputs["userName"]: user.inputs for user in program.of("elasticache.User")}
    assert set(users) == {"app", "default"}
    assert users["default"]["accessString"] == "off -@all"
    assert users["app"]["accessString"].startswith("on ~session_:* ")
    assert "+@all" not in users["app"]["accessString"]
    assert all(user["passwords"] for user in users.values())
    assert len(program.one("elasticache.UserGroup").inputs["userIds"]) == 2
    for user in program.of("elasticache.User"):
        # AWS may write it in another order than we do, and must not be asked to change it in the middle of a reshard.
        assert user.ignore_changes == ("accessString",), user.urn
    assert program.one("elasticache.ReplicationGroup").inputs["transitEncryptionEnabled"] is True


def test_the_scanned_template_is_the_whole_stack() -> None:
    """What docs/security.md's scan reads holds every declared resource, and references where Pulumi has them."""
    program = declare()
    template = render(program)["resource"]
    assert sum(map(len, template.values())) == len([r for r in program if r.type.startswith("aws:")])
    assert template["aws_lb"]["dev-alb"]["security_groups"] == ["${aws_security_group.dev-balancer.id}"]
    assert template["aws_lambda_function"]["dev-session"]["role"] == "${aws_iam_role.dev-function.arn}"
    left = [name for name, body in template["aws_route"].items() if SUFFIX in json.dumps(body)]
    assert not left
