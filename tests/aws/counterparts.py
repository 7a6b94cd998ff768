"""What CloudFormation calls the types and properties that the program declares, one entry a resource type.

A declared type or property without an entry fails the test, so a new one is never left unchecked in silence.
"""

from typing import Any

from tests.aws.mapping import Absent, Beside, Counterpart, Folded, Inside, Json, Made, Omitted, Refer, Way, pascal


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _balancer_attribute(key: str) -> Made:
    return Made(lambda value: {"LoadBalancerAttributes": [{"Key": key, "Value": _text(value)}]})


def _switch(name: str) -> Made:
    return Made(lambda on: {name: "ENABLED" if on else "DISABLED"})


TAGS = Made(lambda tags: {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})
_FOR_THE_PROVIDER = Omitted("tells the provider how to act; it is not sent")
_NO_TAGS = Omitted("CloudFormation does not know tags of it")
_IN_VPC: dict[str, Way] = {"vpcId": Refer("VpcId", "ec2.Vpc")}
_GROUP_RULE: dict[str, Way] = {
    **pascal("ipProtocol", "fromPort", "toPort", "description"),
    "cidrIpv4": "CidrIp",
    "securityGroupId": Refer("GroupId", "ec2.SecurityGroup"),
    "tags": _NO_TAGS,
}

KINDS: dict[str, Counterpart | Folded | Absent] = {
    "budgets.Budget": Counterpart(
        "AWS::Budgets::Budget",
        {
            "budgetType": "Budget.BudgetType",
            "timeUnit": "Budget.TimeUnit",
            "limitAmount": Made(lambda text: {"Budget": {"BudgetLimit": {"Amount": float(text)}}}),
            "limitUnit": "Budget.BudgetLimit.Unit",
            "metrics": "Budget.Metrics[]",
            "filterExpression": Inside(
                "Budget.FilterExpression",
                {"ands": Inside("And", {"tags": Inside("Tags", pascal("key", "values", "matchOptions"))})},
            ),
            "notifications": Inside(
                "NotificationsWithSubscribers",
                {
                    "comparisonOperator": "Notification.ComparisonOperator",
                    "notificationType": "Notification.NotificationType",
                    "threshold": "Notification.Threshold",
                    "thresholdType": "Notification.ThresholdType",
                    "subscriberEmailAddresses": Made(
                        lambda addresses: {
                            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": entry} for entry in addresses]
                        }
                    ),
                },
            ),
            "tags": Made(lambda tags: {"ResourceTags": TAGS.properties(tags)["Tags"]}),
        },
        name="Budget.BudgetName",
    ),
    "cloudwatch.Dashboard": Counterpart("AWS::CloudWatch::Dashboard", pascal("dashboardName", "dashboardBody")),
    "cloudwatch.LogGroup": Counterpart(
        "AWS::Logs::LogGroup", pascal("retentionInDays"), name="LogGroupName", arn="Arn"
    ),
    "ec2.DefaultSecurityGroup": Absent("CloudFormation cannot take over the group that comes with the VPC"),
    "ec2.Eip": Counterpart("AWS::EC2::EIP", pascal("domain"), identity="AllocationId"),
    "ec2.InternetGateway": Counterpart(
        "AWS::EC2::InternetGateway",
        {"vpcId": Omitted("its attachment has it")},
        beside=Beside("AWS::EC2::VPCGatewayAttachment", _IN_VPC, own="InternetGatewayId"),
    ),
    "ec2.NatGateway": Counterpart(
        "AWS::EC2::NatGateway",
        {"allocationId": Refer("AllocationId", "ec2.Eip"), "subnetId": Refer("SubnetId", "ec2.Subnet")},
    ),
    "ec2.Route": Counterpart(
        "AWS::EC2::Route",
        {
            **pascal("destinationCidrBlock"),
            "routeTableId": Refer("RouteTableId", "ec2.RouteTable"),
            "gatewayId": Refer("GatewayId", "ec2.InternetGateway"),
            "natGatewayId": Refer("NatGatewayId", "ec2.NatGateway"),
        },
    ),
    "ec2.RouteTable": Counterpart("AWS::EC2::RouteTable", _IN_VPC),
    "ec2.RouteTableAssociation": Counterpart(
        "AWS::EC2::SubnetRouteTableAssociation",
        {
            "routeTableId": Refer("RouteTableId", "ec2.RouteTable"),
            "subnetId": Refer("SubnetId", "ec2.Subnet"),
        },
    ),
    "ec2.SecurityGroup": Counterpart(
        "AWS::EC2::SecurityGroup",
        {"description": "GroupDescription", **_IN_VPC},
        name="GroupName",
        identity="GroupId",
    ),
    "ec2.Subnet": Counterpart(
        "AWS::EC2::Subnet", {**_IN_VPC, **pascal("cidrBlock", "availabilityZone", "mapPublicIpOnLaunch")}
    ),
    "ec2.Vpc": Counterpart("AWS::EC2::VPC", pascal("cidrBlock", "enableDnsHostnames", "enableDnsSupport")),
    "ec2.VpcEndpoint": Counterpart(
        "AWS::EC2::VPCEndpoint",
        {
            **_IN_VPC,
            **pascal("serviceName", "vpcEndpointType"),
            "routeTableIds": Refer("RouteTableIds", "ec2.RouteTable"),
        },
    ),
    "ecr.LifecyclePolicy": Folded(
        "repository",
        "ecr.Repository",
        {"policy": "LifecyclePolicy.LifecyclePolicyText"},
    ),
    "ecr.Repository": Counterpart(
        "AWS::ECR::Repository",
        {
            "forceDelete": "EmptyOnDelete",
            "imageScanningConfiguration": Inside("ImageScanningConfiguration", pascal("scanOnPush")),
            "encryptionConfigurations": Made(
                lambda entries: {"EncryptionConfiguration": {"EncryptionType": entries[0]["encryptionType"]}}
            ),
        },
        name="RepositoryName",
        arn="Arn",
    ),
    "ecs.Cluster": Counterpart("AWS::ECS::Cluster", {}, name="ClusterName", arn="Arn"),
    "ecs.Service": Counterpart(
        "AWS::ECS::Service",
        {
            **pascal("availabilityZoneRebalancing", "desiredCount", "enableExecuteCommand", "launchType"),
            **pascal("propagateTags"),
            "cluster": Refer("Cluster", "ecs.Cluster"),
            "taskDefinition": Refer("TaskDefinition", "ecs.TaskDefinition"),
            "deploymentCircuitBreaker": Inside(
                "DeploymentConfiguration.DeploymentCircuitBreaker", pascal("enable", "rollback")
            ),
            "deploymentMaximumPercent": "DeploymentConfiguration.MaximumPercent",
            "deploymentMinimumHealthyPercent": "DeploymentConfiguration.MinimumHealthyPercent",
            "networkConfiguration": Inside(
                "NetworkConfiguration.AwsvpcConfiguration",
                {
                    "assignPublicIp": _switch("AssignPublicIp"),
                    "securityGroups": Refer("SecurityGroups", "ec2.SecurityGroup"),
                    "subnets": Refer("Subnets", "ec2.Subnet"),
                },
            ),
            "serviceRegistries": Inside(
                "ServiceRegistries[]", {"registryArn": Refer("RegistryArn", "servicediscovery.Service")}
            ),
            "waitForSteadyState": _FOR_THE_PROVIDER,
        },
        name="ServiceName",
    ),
    "ecs.TaskDefinition": Counterpart(
        "AWS::ECS::TaskDefinition",
        {
            **pascal("cpu", "family", "memory", "networkMode", "requiresCompatibilities"),
            "containerDefinitions": Json("ContainerDefinitions", pascal=True),
            "executionRoleArn": Refer("ExecutionRoleArn", "iam.Role"),
            "taskRoleArn": Refer("TaskRoleArn", "iam.Role"),
            "runtimePlatform": Inside("RuntimePlatform", pascal("cpuArchitecture", "operatingSystemFamily")),
        },
    ),
    "elasticache.ParameterGroup": Counterpart(
        "AWS::ElastiCache::ParameterGroup",
        {
            **pascal("description"),
            "family": "CacheParameterGroupFamily",
            "parameters": Made(lambda entries: {"Properties": {entry["name"]: entry["value"] for entry in entries}}),
        },
        name="CacheParameterGroupName",
    ),
    "elasticache.ReplicationGroup": Counterpart(
        "AWS::ElastiCache::ReplicationGroup",
        {
            **pascal("atRestEncryptionEnabled", "autoMinorVersionUpgrade", "automaticFailoverEnabled", "clusterMode"),
            **pascal("engine", "engineVersion", "numNodeGroups", "port", "replicasPerNodeGroup"),
            **pascal("snapshotRetentionLimit", "transitEncryptionEnabled"),
            "applyImmediately": _FOR_THE_PROVIDER,
            "description": "ReplicationGroupDescription",
            "multiAzEnabled": "MultiAZEnabled",
            "nodeType": "CacheNodeType",
            "parameterGroupName": Refer("CacheParameterGroupName", "elasticache.ParameterGroup"),
            "securityGroupIds": Refer("SecurityGroupIds", "ec2.SecurityGroup"),
            "subnetGroupName": Refer("CacheSubnetGroupName", "elasticache.SubnetGroup"),
            "userGroupIds": Refer("UserGroupIds", "elasticache.UserGroup"),
        },
        name="ReplicationGroupId",
        # A node of the group: cfn-lint keeps what it knows of engines, versions and node types with this type only.
        beside=Beside(
            "AWS::ElastiCache::CacheCluster",
            {**pascal("engine", "engineVersion"), "nodeType": "CacheNodeType"},
            more={"NumCacheNodes": 1},
        ),
    ),
    "elasticache.SubnetGroup": Counterpart(
        "AWS::ElastiCache::SubnetGroup",
        {**pascal("description"), "subnetIds": Refer("SubnetIds", "ec2.Subnet")},
        name="CacheSubnetGroupName",
    ),
    "elasticache.User": Counterpart(
        "AWS::ElastiCache::User",
        pascal("accessString", "engine", "passwords", "userId", "userName"),
        known_as="userId",
    ),
    "elasticache.UserGroup": Counterpart(
        "AWS::ElastiCache::UserGroup",
        {**pascal("engine", "userGroupId"), "userIds": Refer("UserIds", "elasticache.User")},
        known_as="userGroupId",
    ),
    "iam.Role": Counterpart(
        "AWS::IAM::Role",
        {**pascal("description"), "assumeRolePolicy": Json("AssumeRolePolicyDocument")},
        name="RoleName",
        arn="Arn",
    ),
    "iam.RolePolicy": Counterpart(
        "AWS::IAM::RolePolicy",
        {"policy": Json("PolicyDocument"), "role": Refer("RoleName", "iam.Role")},
        name="PolicyName",
    ),
    "iam.RolePolicyAttachment": Folded("role", "iam.Role", {"policyArn": "ManagedPolicyArns[]"}),
    "index.Image": Absent("an image is built and pushed by Docker"),
    "lambda.Function": Counterpart(
        "AWS::Lambda::Function",
        {
            **pascal("architectures", "description", "handler", "memorySize", "runtime", "timeout"),
            # The provider sends the archive's bytes; what CloudFormation takes beside source text is an object in S3.
            "code": Made(lambda _archive: {"Code": {"S3Bucket": "archives", "S3Key": "function.zip"}}),
            "environment": Inside("Environment", pascal("variables")),
            "loggingConfig": Inside(
                "LoggingConfig", {**pascal("logFormat"), "logGroup": Refer("LogGroup", "cloudwatch.LogGroup")}
            ),
            "role": Refer("Role", "iam.Role"),
            "tracingConfig": Inside("TracingConfig", pascal("mode")),
            "vpcConfig": Inside(
                "VpcConfig",
                {
                    "securityGroupIds": Refer("SecurityGroupIds", "ec2.SecurityGroup"),
                    "subnetIds": Refer("SubnetIds", "ec2.Subnet"),
                },
            ),
        },
        name="FunctionName",
        arn="Arn",
    ),
    "lambda.Permission": Counterpart(
        "AWS::Lambda::Permission",
        {
            **pascal("action", "principal"),
            "function": Refer("FunctionName", "lambda.Function"),
            "sourceArn": Refer("SourceArn", "lb.TargetGroup"),
        },
    ),
    "lb.Listener": Counterpart(
        "AWS::ElasticLoadBalancingV2::Listener",
        {
            **pascal("port", "protocol"),
            "loadBalancerArn": Refer("LoadBalancerArn", "lb.LoadBalancer"),
            "defaultActions": Inside(
                "DefaultActions", {**pascal("type"), "targetGroupArn": Refer("TargetGroupArn", "lb.TargetGroup")}
            ),
        },
    ),
    "lb.LoadBalancer": Counterpart(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        {
            "loadBalancerType": "Type",
            "internal": Made(lambda internal: {"Scheme": "internal" if internal else "internet-facing"}),
            "dropInvalidHeaderFields": _balancer_attribute("routing.http.drop_invalid_header_fields.enabled"),
            "idleTimeout": _balancer_attribute("idle_timeout.timeout_seconds"),
            "securityGroups": Refer("SecurityGroups", "ec2.SecurityGroup"),
            "subnets": Refer("Subnets", "ec2.Subnet"),
        },
        name="Name",
    ),
    "lb.TargetGroup": Counterpart(
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        {
            **pascal("targetType"),
            "healthCheck": Inside(
                "",
                {
                    "enabled": "HealthCheckEnabled",
                    "interval": "HealthCheckIntervalSeconds",
                    "timeout": "HealthCheckTimeoutSeconds",
                },
            ),
        },
        name="Name",
    ),
    "lb.TargetGroupAttachment": Folded(
        "targetGroupArn",
        "lb.TargetGroup",
        {"targetId": Refer("Targets[].Id", "lambda.Function")},
    ),
    "s3.Bucket": Counterpart("AWS::S3::Bucket", {"forceDestroy": _FOR_THE_PROVIDER}, name="BucketName", arn="Arn"),
    "s3.BucketLifecycleConfiguration": Folded(
        "bucket",
        "s3.Bucket",
        {
            "rules": Inside(
                "LifecycleConfiguration.Rules",
                {
                    **pascal("id", "status"),
                    "filter": Inside("", pascal("prefix")),
                    "abortIncompleteMultipartUpload": Inside(
                        "AbortIncompleteMultipartUpload", pascal("daysAfterInitiation")
                    ),
                    "noncurrentVersionExpiration": Inside("NoncurrentVersionExpiration", pascal("noncurrentDays")),
                },
            )
        },
    ),
    "s3.BucketPolicy": Counterpart(
        "AWS::S3::BucketPolicy", {"bucket": Refer("Bucket", "s3.Bucket"), "policy": Json("PolicyDocument")}
    ),
    "s3.BucketPublicAccessBlock": Folded(
        "bucket",
        "s3.Bucket",
        {
            ours: f"PublicAccessBlockConfiguration.{theirs}"
            for ours, theirs in pascal(
                "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"
            ).items()
        },
    ),
    "s3.BucketServerSideEncryptionConfiguration": Folded(
        "bucket",
        "s3.Bucket",
        {
            "rules": Inside(
                "BucketEncryption.ServerSideEncryptionConfiguration",
                {
                    "applyServerSideEncryptionByDefault": Inside(
                        "ServerSideEncryptionByDefault", {"sseAlgorithm": "SSEAlgorithm"}
                    )
                },
            )
        },
    ),
    "s3.BucketVersioning": Folded(
        "bucket", "s3.Bucket", {"versioningConfiguration": Inside("VersioningConfiguration", pascal("status"))}
    ),
    "servicediscovery.PrivateDnsNamespace": Counterpart(
        "AWS::ServiceDiscovery::PrivateDnsNamespace",
        {**pascal("description"), "vpc": Refer("Vpc", "ec2.Vpc")},
        name="Name",
    ),
    "servicediscovery.Service": Counterpart(
        "AWS::ServiceDiscovery::Service",
        {
            **pascal("name"),
            "dnsConfig": Inside(
                "DnsConfig",
                {
                    **pascal("routingPolicy"),
                    "dnsRecords": Inside("DnsRecords", {**pascal("type"), "ttl": "TTL"}),
                    "namespaceId": Refer("NamespaceId", "servicediscovery.PrivateDnsNamespace"),
                },
            ),
            "forceDestroy": _FOR_THE_PROVIDER,
        },
        arn="Arn",
    ),
    "vpc.SecurityGroupEgressRule": Counterpart(
        "AWS::EC2::SecurityGroupEgress",
        {**_GROUP_RULE, "referencedSecurityGroupId": Refer("DestinationSecurityGroupId", "ec2.SecurityGroup")},
    ),
    "vpc.SecurityGroupIngressRule": Counterpart(
        "AWS::EC2::SecurityGroupIngress",
        {**_GROUP_RULE, "referencedSecurityGroupId": Refer("SourceSecurityGroupId", "ec2.SecurityGroup")},
    ),
}
