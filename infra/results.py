"""The bucket for run folders; it outlives the stack unless keepResults is false."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.naming import COMPONENT, named

# All that the load writes: run folders, and markers for a restarted master (recorder/record.py).
PREFIX = "runs/"
WRITTEN = (PREFIX, "markers/")


@dataclass(frozen=True)
class ResultsArgs:
    """Whether the evidence outlives the stack.

    `pulumi destroy` does not run the program: it uses what the last `up` recorded. A changed keepResults takes effect
    with the next `up`.
    """

    keep: bool


class Results(pulumi.ComponentResource):
    """A private, encrypted, versioned bucket; a kept bucket keeps these settings."""

    def __init__(self, args: ResultsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Results", named("results"), None, opts)
        here = pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep)
        self.bucket = aws.s3.Bucket(named("results"), force_destroy=not args.keep, opts=here)
        closed = aws.s3.BucketPublicAccessBlock(
            named("results"),
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=here,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            named("results"),
            bucket=self.bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=here,
        )
        # run.json is replaced during a run; versioning keeps its earlier states readable.
        versioning = aws.s3.BucketVersioning(
            named("results"),
            bucket=self.bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=here,
        )
        aws.s3.BucketLifecycleConfiguration(
            named("results"),
            bucket=self.bucket.bucket,
            rules=[
                {
                    "id": "unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                },
                {
                    "id": "earlier-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": 30},
                },
            ],
            opts=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=[versioning])),
        )
        aws.s3.BucketPolicy(
            named("results"),
            bucket=self.bucket.bucket,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "OnlyOverTls",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": [self.bucket.arn, self.bucket.arn.apply(lambda arn: f"{arn}/*")],
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ],
                }
            ),
            opts=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=[closed])),
        )
        self.register_outputs({"bucket": self.bucket.bucket})
