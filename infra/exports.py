"""What a user and the experiment need next, with commands ready to paste."""

import shlex

import pulumi

from infra import costs
from infra.balancer import Balancer
from infra.cache import Cache
from infra.dashboard import Dashboard
from infra.function import Functions
from infra.image import LoadImage
from infra.load import UI_PORT, Load
from infra.network import Network
from infra.results import Results
from infra.settings import Settings


def open_ui(cluster: str, service: str, region: str) -> str:
    """A shell command that looks up the running master and forwards its web UI to this machine's port 8089."""
    look_up = f"aws ecs --region {region}"
    return (
        f"TASK=$({look_up} list-tasks --cluster {cluster} --service-name {service} --desired-status RUNNING "
        f"--query 'taskArns[0]' --output text) && "
        f'RUNTIME=$({look_up} describe-tasks --cluster {cluster} --tasks "$TASK" '
        f"--query \"tasks[0].containers[?name=='master'].runtimeId | [0]\" --output text) && "
        f'aws ssm start-session --region {region} --target "ecs:{cluster}_${{TASK##*/}}_$RUNTIME" '
        f"--document-name AWS-StartPortForwardingSession "
        f"--parameters portNumber={UI_PORT},localPortNumber={UI_PORT}"
    )


def fetch_results(stack: str) -> str:
    """A command that brings the newest run here with all its evidence, audits its sessions and makes the report.

    It asks the standing stack. Of a destroyed one only the bucket is left: `fetch --bucket NAME --region REGION`.
    """
    return f".venv/bin/python -m experiment fetch --stack {stack}"


def export_all(
    *,
    settings: Settings,
    network: Network,
    cache: Cache,
    functions: Functions,
    balancer: Balancer,
    image: LoadImage,
    results: Results,
    load: Load,
    dashboard: Dashboard,
    region: pulumi.Output[str],
) -> None:
    """The exports that docs/reference.md lists."""
    stack = pulumi.get_stack()
    pulumi.export("cacheConfigurationEndpoint", cache.host)
    pulumi.export("cacheReplicationGroupId", cache.id)
    pulumi.export("albDnsName", balancer.dns_name)
    pulumi.export("functionName", functions.session.name)
    pulumi.export("auditFunctionName", functions.audit.name)
    pulumi.export("functionLogGroup", functions.logs["session"].name)
    pulumi.export("loadLogGroup", load.log_group.name)
    pulumi.export("imageRef", image.ref)
    pulumi.export("resultsBucket", results.bucket.bucket)
    pulumi.export("ecsCluster", load.cluster.name)
    pulumi.export("masterService", load.master.name)
    pulumi.export("workerService", load.worker.name)
    pulumi.export("dashboardName", dashboard.name)
    pulumi.export("dashboardUrl", dashboard.url)
    pulumi.export("vpcId", network.vpc_id)
    pulumi.export("region", region)
    pulumi.export(
        "openUi",
        pulumi.Output.all(load.cluster.name, load.master.name, region).apply(lambda known: open_ui(*known)),
    )
    pulumi.export("fetchResults", fetch_results(shlex.quote(stack)))
    pulumi.export("costsWhileStanding", costs.while_standing(settings, shlex.quote(stack)))
