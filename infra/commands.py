"""Shell commands for the user of a standing stack, exported ready to paste."""

import shlex

import pulumi

from infra.load import UI_PORT


def open_ui(cluster: pulumi.Input[str], service: pulumi.Input[str], region: pulumi.Input[str]) -> pulumi.Output[str]:
    """Looks up the running master and forwards its web UI to this machine's port 8089."""
    return pulumi.Output.format(
        "TASK=$(aws ecs --region {2} list-tasks --cluster {0} --service-name {1} --desired-status RUNNING "
        "--query 'taskArns[0]' --output text) && "
        'RUNTIME=$(aws ecs --region {2} describe-tasks --cluster {0} --tasks "$TASK" '
        "--query \"tasks[0].containers[?name=='master'].runtimeId | [0]\" --output text) && "
        'aws ssm start-session --region {2} --target "ecs:{0}_${{TASK##*/}}_$RUNTIME" '
        "--document-name AWS-StartPortForwardingSession "
        "--parameters portNumber={3},localPortNumber={3}",
        cluster,
        service,
        region,
        UI_PORT,
    )


def fetch_results(stack: str) -> str:
    """Downloads the newest run with all its evidence, audits its sessions and makes the report.

    It needs the standing stack. Of a destroyed one only the bucket is left: `fetch --bucket NAME --region REGION`.
    """
    return f".venv/bin/python -m experiment fetch --stack {shlex.quote(stack)}"
