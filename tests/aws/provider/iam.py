"""IAM: what the provider sends to create roles and what they may do."""

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import Call, Creation, Own


def _role(inputs: Inputs, own: Own) -> list[Call]:
    create = inputs.always(
        {"assumeRolePolicy": "AssumeRolePolicyDocument", "path": "Path", "maxSessionDuration": "MaxSessionDuration"},
        path="/",
        maxSessionDuration=3600,
    )
    create |= inputs.if_set({"description": "Description"})
    return [Call("iam", "CreateRole", {"RoleName": own.name, "Tags": pairs(inputs.words("tags")), **create})]


def _role_policy(inputs: Inputs, own: Own) -> list[Call]:
    put = inputs.always({"policy": "PolicyDocument", "role": "RoleName"})
    return [Call("iam", "PutRolePolicy", {"PolicyName": own.name, **put})]


def _role_policy_attachment(inputs: Inputs, _: Own) -> list[Call]:
    return [Call("iam", "AttachRolePolicy", inputs.always({"policyArn": "PolicyArn", "role": "RoleName"}))]


CREATIONS = {
    "iam.Role": Creation("iam/role.go@0040ea6911af", _role),
    "iam.RolePolicy": Creation("iam/role_policy.go@02f97af85f89", _role_policy),
    "iam.RolePolicyAttachment": Creation("iam/role_policy_attachment.go@04c79849dbe7", _role_policy_attachment),
}
