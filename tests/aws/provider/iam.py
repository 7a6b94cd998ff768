"""IAM: what the provider sends to create roles and what they may do."""

from tests.aws.given import Given, pairs
from tests.aws.provider.call import Call, Creation, Own


def _role(given: Given, own: Own) -> list[Call]:
    create = given.always(
        {"assumeRolePolicy": "AssumeRolePolicyDocument", "path": "Path", "maxSessionDuration": "MaxSessionDuration"},
        path="/",
        maxSessionDuration=3600,
    )
    create |= given.if_set({"description": "Description"})
    return [Call("iam", "CreateRole", {"RoleName": own.name, "Tags": pairs(given.words("tags")), **create})]


def _role_policy(given: Given, own: Own) -> list[Call]:
    put = given.always({"policy": "PolicyDocument", "role": "RoleName"})
    return [Call("iam", "PutRolePolicy", {"PolicyName": own.name, **put})]


def _role_policy_attachment(given: Given, _: Own) -> list[Call]:
    return [Call("iam", "AttachRolePolicy", given.always({"policyArn": "PolicyArn", "role": "RoleName"}))]


CREATIONS = {
    "iam.Role": Creation("iam/role.go@0040ea6911af", _role),
    "iam.RolePolicy": Creation("iam/role_policy.go@02f97af85f89", _role_policy),
    "iam.RolePolicyAttachment": Creation("iam/role_policy_attachment.go@04c79849dbe7", _role_policy_attachment),
}
