"""The experiment as a parts list: settings -> parts -> exports. Each part is a file of infra/."""

import pulumi
import pulumi_aws as aws

from infra import commands, config, costs
from infra.balancer import Balancer, BalancerArgs
from infra.budget import Budget, BudgetArgs
from infra.cache import Cache, CacheArgs
from infra.dashboard import Dashboard, DashboardArgs
from infra.firewall import Firewall, FirewallArgs
from infra.function import FunctionArgs, Functions
from infra.image import ImageArgs, LoadImage
from infra.load import Load, LoadArgs
from infra.naming import tag_everything
from infra.network import Network, NetworkArgs
from infra.results import Results, ResultsArgs
from infra.variables import function_variables, load_variables

# Pulumi's engine runs this file as "__main__". The rehearsal and the tests run it under another name, with Pulumi's
# mocks, which build and deploy nothing.
deploying = __name__ == "__main__"
settings = config.read(deploying=deploying)
tag_everything()

network = Network(NetworkArgs(zones=settings.availability_zones))
firewall = Firewall(FirewallArgs(vpc_id=network.vpc_id))
cache = Cache(
    CacheArgs(
        subnet_ids=network.private_subnet_ids,
        security_group_id=firewall.group_id("cache"),
        engine=settings.cache_engine,
        node_type=settings.cache_node_type,
        shards=settings.shard_count,
        replicas_per_shard=settings.replicas_per_shard,
        transit_encryption=settings.transit_encryption,
        username=settings.cache_username,
        password=settings.cache_password,
    )
)
functions = Functions(
    FunctionArgs(
        subnet_ids=network.inner_subnet_ids,
        security_group_id=firewall.group_id("function"),
        environment=function_variables(settings, cache.host),
        memory_mb=settings.function_memory,
        timeout_s=settings.function_timeout,
        retention_days=settings.retention_days,
    )
)
balancer = Balancer(
    BalancerArgs(
        subnet_ids=network.inner_subnet_ids,
        security_group_id=firewall.group_id("balancer"),
        function=functions.session,
    )
)
image = LoadImage(ImageArgs(stage_context=deploying))
results = Results(ResultsArgs(keep=settings.keep_results))
load = Load(
    LoadArgs(
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        master_group_id=firewall.group_id("master"),
        worker_group_id=firewall.group_id("worker"),
        master_needs=[*network.way_out, *firewall.rules["master"]],
        worker_needs=[*network.way_out, *firewall.rules["worker"], balancer.listener],
        image_ref=image.ref,
        repository_arn=image.repository.arn,
        target_url=pulumi.Output.concat("http://", balancer.dns_name),
        environment=load_variables(settings, results.bucket.bucket, cache.id),
        workers=settings.load_tasks,
        bucket_arn=results.bucket.arn,
        cache_arn=cache.group.arn,
        retention_days=settings.retention_days,
    )
)
region = aws.get_region_output().region
dashboard = Dashboard(
    DashboardArgs(
        region=region,
        cache_id=cache.id,
        shards=settings.shard_count,
        replicas_per_shard=settings.replicas_per_shard,
        function_name=functions.session.name,
        function_logs=functions.logs["session"].name,
        balancer_suffix=balancer.balancer.arn_suffix,
        stack=pulumi.get_stack(),
    )
)
if settings.budget_usd:
    Budget(BudgetArgs(usd=settings.budget_usd, email=settings.budget_email))

# The stack
pulumi.export("region", region)
pulumi.export("vpcId", network.vpc_id)
pulumi.export("cacheConfigurationEndpoint", cache.host)
pulumi.export("cacheReplicationGroupId", cache.id)
pulumi.export("albDnsName", balancer.dns_name)
pulumi.export("functionName", functions.session.name)
pulumi.export("auditFunctionName", functions.audit.name)
pulumi.export("imageRef", image.ref)
pulumi.export("ecsCluster", load.cluster.name)
pulumi.export("masterService", load.master.name)
pulumi.export("workerService", load.worker.name)
# Where to look
pulumi.export("resultsBucket", results.bucket.bucket)
pulumi.export("functionLogGroup", functions.logs["session"].name)
pulumi.export("loadLogGroup", load.log_group.name)
pulumi.export("dashboardName", dashboard.name)
pulumi.export("dashboardUrl", dashboard.url)
# What to do next
pulumi.export("openUi", commands.open_ui(load.cluster.name, load.master.name, region))
pulumi.export("fetchResults", commands.fetch_results(pulumi.get_stack()))
pulumi.export("costsWhileStanding", costs.while_standing(settings, pulumi.get_stack()))
