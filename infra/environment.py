"""What the functions and the load containers are told: docs/reference.md lists them."""

import pulumi

from infra.firewall import CACHE_PORT
from infra.settings import Settings

# Beside the function's own time limit: time for a new environment to start, and for the balancer's 502 to arrive.
REPLY_MARGIN_S = 5


def function_environment(settings: Settings, host: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Read by function/, and nothing else is."""
    return {
        "CACHE_HOST": host,
        "CACHE_PORT": str(CACHE_PORT),
        "CACHE_TLS": str(settings.transit_encryption).lower(),
        "CACHE_CONNECTION": settings.function_connection,
        "CACHE_USERNAME": settings.cache_username,
        "CACHE_PASSWORD": pulumi.Output.secret(settings.cache_password) if settings.cache_password else "",
    }


def load_environment(
    settings: Settings, bucket: pulumi.Input[str], cache_id: pulumi.Input[str]
) -> dict[str, pulumi.Input[str]]:
    """Read by locust/, and nothing else is."""
    return {
        "LOAD_PROFILE": settings.load_profile,
        "LOAD_SCALE": settings.load_scale,
        "LOAD_COMPRESS": settings.load_compress,
        "LOAD_CONNECTION": settings.load_connection,
        # Below the 65,535 open files that a task has; over it an arrival is counted as missed.
        "LOAD_MAX_IN_FLIGHT": "8192",
        "LOAD_TIME_LIMIT_S": str(settings.function_timeout + REPLY_MARGIN_S),
        "LOAD_RUN_DIR": "",
        "LOAD_STACK": pulumi.get_stack(),
        "LOAD_WORKERS": str(settings.load_tasks),
        "LOAD_AUTOSTART": str(settings.load_autostart).lower(),
        "LOAD_RESULTS_BUCKET": bucket,
        "LOAD_CACHE_ID": cache_id,
    }
