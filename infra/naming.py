"""Names that fit AWS's limits whatever the stack is called, and tags on everything that can have them."""

import hashlib
import re
from collections.abc import Mapping
from typing import cast

import pulumi

# The tightest limit that a name here meets: a load balancer's 32 characters. Pulumi adds a hyphen and 7 characters.
LIMIT = 32
SUFFIX = 8
# For names that are tags only.
TAG_LIMIT = 64

# Prefixes that AWS refuses: for load balancers, security groups, buckets (the last two).
RESERVED = ("internal", "sg", "sthree", "amzn-s3-demo")

COMPONENT = "elasticache-cluster-mode:infra:"


def named(part: str, stack: str | None = None, *, limit: int = LIMIT) -> str:
    """`<stack>-<part>` in lower case, shortened so that it keeps within `limit` with Pulumi's suffix.

    A shortened name gets four characters of the stack name's digest, so stacks that begin alike stay apart.
    """
    full = stack or pulumi.get_stack()
    prefix = re.sub(r"[^a-z0-9]+", "-", full.lower()).strip("-") or "stack"
    reserved = any(f"{prefix}-".startswith(f"{start}-") for start in RESERVED)
    if reserved or not prefix[0].isalpha():
        prefix = "s-" + prefix  # a replication group's id begins with a letter
    room = limit - SUFFIX - len(part) - 1
    if len(prefix) > room:
        digest = hashlib.sha256(full.encode()).hexdigest()[:4]
        prefix = prefix[: room - 5].rstrip("-") + "-" + digest
    return f"{prefix}-{part}"


def tag_everything() -> None:
    """Tags every resource that takes tags; the experiment finds leftovers of a stack by them."""

    def add(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # pulumi_aws passes every property of a resource, unset ones as None.
        if not args.type_.startswith("aws:") or "tags" not in args.props:
            return None
        props = dict(args.props)
        own = cast("Mapping[str, str]", props["tags"] or {})
        props["tags"] = {**own, "Project": pulumi.get_project(), "Stack": pulumi.get_stack(), "Name": args.name}
        return pulumi.ResourceTransformationResult(props, args.opts)

    pulumi.runtime.register_stack_transformation(add)
