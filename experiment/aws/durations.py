"""How long each step is expected to take, with the source of the figure. We measured none of them on AWS.

docs/aws.md lists the same sources for a reader.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """A duration to plan with."""

    seconds: float
    source: str

    def text(self) -> str:
        """For a person."""
        minutes = self.seconds / 60
        return f"about {minutes:.0f} min" if minutes >= 1 else "seconds"


EXPECTED = {
    "preflight": Expected(20, "some dozen calls"),
    "up": Expected(25 * 60, "a guess: ElastiCache's nodes are the slowest part; pulumi-aws gives them 60 min"),
    "start": Expected(90, "four Fargate tasks pull one image"),
    "reshard": Expected(20 * 60, "the original's account: 14 min from 1 to 2 shards with 430,000 small items"),
    "collect": Expected(4 * 60, "CloudWatch has a minute's values up to three minutes after it"),
    "audit": Expected(3 * 60, "a guess: 5,000 sessions a call, four calls at a time"),
    "report": Expected(40, "seconds to a minute, on this machine"),
    "destroy": Expected(30 * 60, "AWS: a function's network interfaces may take up to 45 min to go"),
}


def stack_hours(load_s: float) -> float:
    """Hours that the stack exists for one run, from the first resource to the last."""
    steps = ("up", "start", "collect", "audit", "destroy")
    return (sum(EXPECTED[step].seconds for step in steps) + load_s) / 3600
