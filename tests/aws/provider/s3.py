"""S3: what the provider sends to create the bucket of results and all that is set on it."""

from typing import Any

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import Call, Creation, Own
from tests.infra.program import REGION


def _call(operation: str, **parameters: Any) -> Call:
    return Call("s3", operation, parameters)


def _bucket(inputs: Inputs, own: Own) -> list[Call]:
    """The tags go with the creation where the deployer has s3:TagResource (6.23), and with PutBucketTagging else."""
    inputs.unsent("forceDestroy")
    name = inputs("bucket", own.name)
    tags = pairs(inputs.words("tags"))
    create = inputs.always({"acl": "ACL"}, acl="private")
    place = {"LocationConstraint": REGION}
    return [
        _call("CreateBucket", Bucket=name, CreateBucketConfiguration={**place, "Tags": tags}, **create),
        _call("PutBucketTagging", Bucket=name, Tagging={"TagSet": tags}),
    ]


def _public_access_block(inputs: Inputs, _: Own) -> list[Call]:
    closed = inputs.always(
        {
            "blockPublicAcls": "BlockPublicAcls",
            "blockPublicPolicy": "BlockPublicPolicy",
            "ignorePublicAcls": "IgnorePublicAcls",
            "restrictPublicBuckets": "RestrictPublicBuckets",
        },
        blockPublicAcls=False,
        blockPublicPolicy=False,
        ignorePublicAcls=False,
        restrictPublicBuckets=False,
    )
    bucket = inputs.always({"bucket": "Bucket"})
    return [_call("PutPublicAccessBlock", PublicAccessBlockConfiguration=closed, **bucket)]


def _encryption(inputs: Inputs, _: Own) -> list[Call]:
    rules: list[dict[str, Any]] = []
    for rule in inputs.blocks("rules"):
        sent = rule.always({"bucketKeyEnabled": "BucketKeyEnabled"}, bucketKeyEnabled=False)
        if default := rule.block("applyServerSideEncryptionByDefault"):
            sent["ApplyServerSideEncryptionByDefault"] = default.if_set(
                {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
            )
        rules.append(sent)
    bucket = inputs.always({"bucket": "Bucket"})
    return [_call("PutBucketEncryption", ServerSideEncryptionConfiguration={"Rules": rules}, **bucket)]


def _versioning(inputs: Inputs, _: Own) -> list[Call]:
    block = inputs.block("versioningConfiguration")
    wanted = block.if_set({"status": "Status", "mfaDelete": "MFADelete"}) if block else {}
    return [_call("PutBucketVersioning", VersioningConfiguration=wanted, **inputs.always({"bucket": "Bucket"}))]


def _lifecycle(inputs: Inputs, _: Own) -> list[Call]:
    """lifecycleRuleModel.Expand; the smallest object's size is the provider's default for a general purpose bucket."""
    rules: list[dict[str, Any]] = []
    for rule in inputs.blocks("rules"):
        sent = rule.always({"id": "ID", "status": "Status"})
        if narrow := rule.block("filter"):
            sent["Filter"] = narrow.always({"prefix": "Prefix"})
        if abort := rule.block("abortIncompleteMultipartUpload"):
            sent["AbortIncompleteMultipartUpload"] = abort.if_set({"daysAfterInitiation": "DaysAfterInitiation"})
        if old := rule.block("noncurrentVersionExpiration"):
            sent["NoncurrentVersionExpiration"] = old.if_set(
                {"noncurrentDays": "NoncurrentDays", "newerNoncurrentVersions": "NewerNoncurrentVersions"}
            )
        rules.append(sent)
    put = {"LifecycleConfiguration": {"Rules": rules}, **inputs.always({"bucket": "Bucket"})}
    put["TransitionDefaultMinimumObjectSize"] = "all_storage_classes_128K"
    return [_call("PutBucketLifecycleConfiguration", **put)]


def _policy(inputs: Inputs, _: Own) -> list[Call]:
    return [_call("PutBucketPolicy", **inputs.always({"bucket": "Bucket", "policy": "Policy"}))]


CREATIONS = {
    "s3.Bucket": Creation("s3/bucket.go, 6.x", _bucket),
    "s3.BucketPublicAccessBlock": Creation("s3/bucket_public_access_block.go@01606926a0c0", _public_access_block),
    "s3.BucketServerSideEncryptionConfiguration": Creation(
        "s3/bucket_server_side_encryption_configuration.go@01606926a0c0", _encryption
    ),
    "s3.BucketVersioning": Creation("s3/bucket_versioning.go@01c08000ddb1", _versioning),
    "s3.BucketLifecycleConfiguration": Creation("s3/bucket_lifecycle_configuration.go@01606926a0c0", _lifecycle),
    "s3.BucketPolicy": Creation("s3/bucket_policy.go@0073593e7d69", _policy),
}
