"""Data for the deployer's policy: ARNs of resources that the stack names; actions that cannot be limited, and why."""

from infra.naming import SUFFIX

# What Pulumi's random suffix looks like: a hyphen and seven characters.
RANDOM = "-" + "?" * (SUFFIX - 1)
# Types whose physical name is an input, instead of the Pulumi name with a random suffix.
NAME_GIVEN = {"aws:ecs/taskDefinition:TaskDefinition": "family"}

_CLUSTER = "aws:ecs/cluster:Cluster"
_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
_BUCKET = "aws:s3/bucket:Bucket"
_GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
_PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"
_CACHE = "arn:aws:elasticache:*:*:"
_BALANCING = "arn:aws:elasticloadbalancing:*:*:"
# Service and resource type -> ARNs, and the declared type whose names stand for the braces. Several are named after
# another resource: the dashboard and the nodes after the cluster, users and their group after the parameter group.
NAMED: dict[str, tuple[tuple[str, ...], str]] = {
    "budgets:budget": (("arn:aws:budgets::*:budget/{}",), "aws:budgets/budget:Budget"),
    "cloudwatch:dashboard": (("arn:aws:cloudwatch::*:dashboard/{}-reshard",), _GROUP),
    "ecr:repository": (("arn:aws:ecr:*:*:repository/{}",), "aws:ecr/repository:Repository"),
    "ecs:cluster": (("arn:aws:ecs:*:*:cluster/{}",), _CLUSTER),
    "ecs:service": (("arn:aws:ecs:*:*:service/{}/*",), _CLUSTER),
    "ecs:task-definition": (("arn:aws:ecs:*:*:task-definition/{}:*",), "aws:ecs/taskDefinition:TaskDefinition"),
    "elasticache:cluster": ((_CACHE + "cluster:{}-????-???",), _GROUP),
    "elasticache:parametergroup": ((_CACHE + "parametergroup:{}",), _PARAMETERS),
    "elasticache:replicationgroup": ((_CACHE + "replicationgroup:{}",), _GROUP),
    "elasticache:subnetgroup": ((_CACHE + "subnetgroup:{}",), "aws:elasticache/subnetGroup:SubnetGroup"),
    "elasticache:user": ((_CACHE + "user:{}-user", _CACHE + "user:{}-nobody"), _PARAMETERS),
    "elasticache:usergroup": ((_CACHE + "usergroup:{}-users",), _PARAMETERS),
    "elasticloadbalancing:listener/app": ((_BALANCING + "listener/app/{}/*",), _BALANCER),
    "elasticloadbalancing:loadbalancer/app/": ((_BALANCING + "loadbalancer/app/{}/*",), _BALANCER),
    "elasticloadbalancing:targetgroup": ((_BALANCING + "targetgroup/{}/*",), "aws:lb/targetGroup:TargetGroup"),
    "iam:role": (("arn:aws:iam::*:role/{}",), "aws:iam/role:Role"),
    # The account's own, made once for all stacks; the condition names the three services.
    "iam:service-role": (("arn:aws:iam::*:role/aws-service-role/*",), ""),
    "lambda:function": (("arn:aws:lambda:*:*:function:{}",), "aws:lambda/function:Function"),
    # Some of Logs' actions are checked against the group's ARN with ":*" behind it.
    "logs:log-group": (
        ("arn:aws:logs:*:*:log-group:{}", "arn:aws:logs:*:*:log-group:{}:*"),
        "aws:cloudwatch/logGroup:LogGroup",
    ),
    "s3:bucket": (("arn:aws:s3:::{}",), _BUCKET),
    "s3:object": (("arn:aws:s3:::{}/*",), _BUCKET),
    "ssm:document": (("arn:aws:ssm:*:*:document/AWS-StartPortForwardingSession",), ""),
    # A session is named after the user, or after the role session that `aws:userid` ends with.
    "ssm:session": (("arn:aws:ssm:*:*:session/${aws:username}-*", "arn:aws:ssm:*:*:session/${aws:userid}-*"), ""),
    "ssm:task": (("arn:aws:ecs:*:*:task/{}/*",), _CLUSTER),
}
# The condition key that says which service a role is for.
SERVICE_KEY = {"iam:PassRole": "iam:PassedToService", "iam:CreateServiceLinkedRole": "iam:AWSServiceName"}

# Reads that are allowed as a group: a later provider may read more, and one refused read fails `up`.
READ_WHOLE = (
    "ec2:Describe*",
    "ecs:Describe*",
    "ecs:List*",
    "elasticache:Describe*",
    "elasticloadbalancing:Describe*",
    "s3:GetBucket*",
)

_IN_YOUR_NAME = (
    "Cloud Map calls Route 53 in the deployer's name (AWS Cloud Map Developer Guide, identity-based policies); the id "
    "is made up, and Route 53 knows no tags in conditions"
)
_UNMARKED = "servicediscovery/tags_gen.go: updateTags, and the creating call; the reference names no resource for it"
# Writes that are not limited to the stack's own resources, each with the provider's function that calls it.
WIDE = {
    "ec2:AllocateAddress": "ec2/ec2_eip.go: resourceEIPCreate; AWS may check Amazon's own pool, which has no tags",
    "ec2:CreateNetworkInterface": "elasticache/replication_group.go: CreateReplicationGroup; the reference names it as "
    "dependent",
    "ec2:DeleteNetworkInterface": "ec2/vpc_network_interface.go: deleteLingeringLambdaENI, called by the deletion of "
    "subnets and groups; Lambda's interfaces bear no tag",
    "ec2:DetachNetworkInterface": "ec2/vpc_network_interface.go: deleteLingeringLambdaENI; Lambda's interfaces bear no "
    "tag, and hang on instances of AWS",
    "ec2:DisassociateAddress": "ec2/ec2_eip.go: resourceEIPDelete; AWS may check the NAT gateway's interface, which "
    "bears no tag. The address itself must bear the stack's",
    "ec2:CreateTags": "ec2/vpc_default_security_group.go: resourceDefaultSecurityGroupCreate, and in older versions "
    "ec2/vpc_security_group_ingress_rule.go: Create; both tag what bears no tag yet, and the call must bring the "
    "stack's tags",
    "ecs:DeregisterTaskDefinition": "ecs/task_definition.go: resourceTaskDefinitionDelete; the reference names no "
    "resource for it",
    "route53:ChangeResourceRecordSets": f"servicediscovery/service.go: deregisterInstance; {_IN_YOUR_NAME}",
    "route53:CreateHealthCheck": f"servicediscovery/service.go: deregisterInstance; {_IN_YOUR_NAME}",
    "route53:CreateHostedZone": f"servicediscovery/private_dns_namespace.go: Create; {_IN_YOUR_NAME}",
    "route53:DeleteHealthCheck": f"servicediscovery/service.go: deregisterInstance; {_IN_YOUR_NAME}",
    "route53:DeleteHostedZone": f"servicediscovery/private_dns_namespace.go: DeleteNamespace; {_IN_YOUR_NAME}",
    "route53:UpdateHealthCheck": f"servicediscovery/service.go: deregisterInstance; {_IN_YOUR_NAME}",
    "servicediscovery:CreatePrivateDnsNamespace": "servicediscovery/private_dns_namespace.go: Create; it makes what "
    "has no id yet, and the reference names no resource for it",
    "servicediscovery:TagResource": _UNMARKED,
    "servicediscovery:UntagResource": _UNMARKED,
}
