"""The environment variables of the functions and the load containers (contract: docs/reference.md)."""

import pulumi

from infra.firewall import CACHE_PORT
from infra.settings import Settings

# Added to the function's time limit: a new environment starts, and the balancer's 502 arrives.
REPLY_MARGIN_S = 5


def function_variables(settings: Settings, host: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """All that function/ reads."""
    return {
        "CACHE_HOST": host,
        "CACHE_PORT": str(CACHE_PORT),
        "CACHE_TLS": str(settings.transit_encryption).lower(),
        "CACHE_CONNECTION": settings.function_connection,
        "CACHE_USERNAME": settings.cache_username,
        "CACHE_PASSWORD": pulumi.Output.secret(settings.cache_password) if settings.cache_password else "",
    }


def load_variables(
    settings: Settings, bucket: pulumi.Input[str], cache_id: pulumi.Input[str]
) -> dict[str, pulumi.Input[str]]:
    """All that locust/ reads."""
    return {
        "LOAD_PROFILE": settings.load_profile,
        "LOAD_SCALE": settings.load_scale,
        "LOAD_COMPRESS": settings.load_compress,
        "LOAD_CONNECTION": settings.load_connection,
        "LOAD_WARM": settings.load_warm,
        # Below the 65,535 open files that a task has; over it an arrival counts as missed.
        "LOAD_MAX_IN_FLIGHT": "8192",
        "LOAD_TIME_LIMIT_S": str(settings.function_timeout + REPLY_MARGIN_S),
        "LOAD_RUN_DIR": "",
        "LOAD_STACK": pulumi.get_stack(),
        "LOAD_WORKERS": str(settings.load_tasks),
        "LOAD_AUTOSTART": str(settings.load_autostart).lower(),
        "LOAD_RESULTS_BUCKET": bucket,
        "LOAD_CACHE_ID": cache_id,
    }
