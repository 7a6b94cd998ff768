"""The AWS account: clients that retry, credentials that can be renewed, AWS's clock."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config

from experiment.aws.asking import asking
from experiment.errors import ExpiredError, PassingError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_elasticache import ElastiCacheClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_pricing import PricingClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

# "standard" waits up to 20 s between tries of a throttled call; ten tries outlast any throttling that a run causes.
CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 10}, connect_timeout=10, read_timeout=60, max_pool_connections=16
)
# The audit of 5,000 sessions may take most of the function's own limit; Lambda answers when it is done.
_INVOKE_CONFIG = CONFIG.merge(Config(read_timeout=320))
# How long to wait for a network that worked before; AWS continues meanwhile.
OFFLINE_S = 15 * 60.0
PRICING_REGION = "us-east-1"  # the Price List API answers in three regions only, for all of them


@dataclass(frozen=True)
class ClockOffset:
    """AWS's clock minus this machine's, in seconds, give or take `uncertainty_s`."""

    seconds: float
    uncertainty_s: float

    @property
    def known_wrong(self) -> bool:
        """Whether this machine's clock is off by more than the uncertainty and a second."""
        return abs(self.seconds) - self.uncertainty_s > 1.0


def _client(service: str) -> Any:
    """An attribute of `Cloud` that is the service's boto3 client."""
    return property(lambda cloud: cloud.client(service))


class Cloud:
    """One region of one account.

    Creates clients on first use, and again after `renew`, which reads profiles and environment again.
    """

    balancers: "ElasticLoadBalancingv2Client" = _client("elbv2")
    cloudwatch: "CloudWatchClient" = _client("cloudwatch")
    ec2: "EC2Client" = _client("ec2")
    ecs: "ECSClient" = _client("ecs")
    elasticache: "ElastiCacheClient" = _client("elasticache")
    functions: "LambdaClient" = _client("lambda")
    pricing: "PricingClient" = _client("pricing")
    quotas: "ServiceQuotasClient" = _client("service-quotas")
    s3: "S3Client" = _client("s3")
    ssm: "SSMClient" = _client("ssm")
    sts: "STSClient" = _client("sts")
    tagging: "ResourceGroupsTaggingAPIClient" = _client("resourcegroupstaggingapi")

    def __init__(
        self,
        region: str | None,
        profile: str | None = None,
        *,
        clients: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.region = region
        self.profile = profile
        self.clock = clock
        self.sleep = sleep
        self._stubs = dict(clients or {})
        self._clients: dict[str, Any] = {}
        self._session: boto3.Session | None = None
        self._making = threading.Lock()
        self._reached = False
        self.clock_offset = ClockOffset(0.0, 0.0)

    @property
    def session(self) -> boto3.Session:
        """The current credentials and settings."""
        if self._session is None:
            with asking("credentials", f"profile {self.profile or 'default'}"):
                self._session = boto3.Session(region_name=self.region, profile_name=self.profile)
        return self._session

    def renew(self) -> None:
        """Forget credentials and clients: the next call reads what is configured then."""
        self._session = None
        self._clients.clear()

    def client(self, name: str) -> Any:
        """A boto3 client by its service's name."""
        if name in self._stubs:
            return self._stubs[name]
        with self._making:  # clients are thread-safe, the session that makes them is not
            if name not in self._clients:
                config = _INVOKE_CONFIG if name == "lambda" else CONFIG
                region = PRICING_REGION if name == "pricing" else self.region
                with asking("credentials", f"service {name}"):
                    self._clients[name] = self.session.client(name, region_name=region, config=config)  # type: ignore[call-overload] - the name is the caller's
            return self._clients[name]

    def measure_clock(self) -> ClockOffset:
        """Compare this machine's clock with AWS's, from the Date of an answer (whole seconds)."""
        before = self.clock()
        with asking("clock", "AWS STS"):
            answer = self.sts.get_caller_identity()
        after = self.clock()
        date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        if date:
            there = parsedate_to_datetime(date).timestamp() + 0.5
            self.clock_offset = ClockOffset(there - (before + after) / 2, 0.5 + (after - before) / 2)
        return self.clock_offset

    def now(self) -> float:
        """Unix seconds by AWS's clock, which the master has; this machine's, unless that is known to be wrong."""
        offset = self.clock_offset
        return self.clock() + (offset.seconds if offset.known_wrong else 0.0)

    def patiently(self, ask: Callable[[], T], say: Callable[[str], None], patience_s: float) -> T:
        """Ask; wait up to `patience_s` for renewed credentials, and for a network that worked before."""
        since: float | None = None  # waiting begins at the first failure, not when a long call began
        while True:
            try:
                answer = ask()
            except PassingError as error:
                expired = isinstance(error, ExpiredError)
                limit_s = patience_s if expired else OFFLINE_S if self._reached else 0.0
                now = self.clock()
                if since is None and limit_s > 0:
                    todo = "Renew the credentials in another terminal" if expired else "Waiting for the network"
                    say(f"{error.said}. {todo}: this resumes by itself within {max(1, round(limit_s / 60))} min")
                since = now if since is None else since
                if now - since >= limit_s:
                    raise
                self.sleep(10)
                self.renew()
            else:
                self._reached = True
                return answer
