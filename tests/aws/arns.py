"""The ARNs that AWS makes, where the mocked cloud only says which resource it means."""

import re

from tests.infra.program import ACCOUNT, REGION

# By the mocked ARN's service and resource type; {} is the physical name.
_FORMS = {
    "cloudwatch loggroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}",
    "ecr repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{{}}",
    "ecs cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{{}}",
    "ecs taskdefinition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{{}}:1",
    "elasticache replicationgroup": f"arn:aws:elasticache:{REGION}:{ACCOUNT}:replicationgroup:{{}}",
    "iam role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "lambda function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "lb loadbalancer": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/{{}}/0123456789abcdef",
    "lb targetgroup": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{{}}/0123456789abcdef",
    "s3 bucket": "arn:aws:s3:::{}",
    "servicediscovery service": f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:service/{{}}",
}
_MOCKED = re.compile(rf"arn:aws:(\w+):{REGION}:{ACCOUNT}:([a-z]+)/([\w.-]+)")


def real(text: str) -> str:
    """The text with each mocked ARN in the form that AWS gives it; one of a type that is not listed stays."""
    return _MOCKED.sub(lambda match: _FORMS.get(f"{match[1]} {match[2]}", match[0]).format(match[3]), text)
