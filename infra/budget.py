"""An optional budget that warns about a forgotten stack."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.naming import COMPONENT, named

# Per cent of the monthly amount. No forecasts: AWS needs about five weeks of use for them, and a stack lives for hours.
THRESHOLDS = (50.0, 80.0, 100.0)


@dataclass(frozen=True)
class BudgetArgs:
    """How much a month may cost, and who gets the e-mail."""

    usd: int
    email: str


class Budget(pulumi.ComponentResource):
    """A monthly cost budget for what has this stack's tags Project and Stack; each threshold sends an e-mail.

    It counts only from the moment that both tags are activated for cost allocation in the paying account (Billing and
    Cost Management, "Cost allocation tags"). AWS updates budgets up to three times a day, so warnings come hours late,
    and the budget is destroyed with the stack: it guards against a forgotten month, not a forgotten night.
    """

    def __init__(self, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Budget", named("budget"), None, opts)
        tags = {"Project": pulumi.get_project(), "Stack": pulumi.get_stack()}
        aws.budgets.Budget(
            named("budget"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.usd),
            limit_unit="USD",
            # An expression, because cost_filters would join the two tags with "or". Its keys are written as Cost
            # Explorer does, without the "user:" of cost_filters.
            filter_expression={
                "ands": [
                    {"tags": {"key": key, "values": [value], "match_options": ["EQUALS"]}}
                    for key, value in tags.items()
                ]
            },
            # AWS wants `metrics` with an expression, `cost_types` with cost_filters.
            metrics="UnblendedCost",
            notifications=[
                {
                    "notification_type": "ACTUAL",
                    "comparison_operator": "GREATER_THAN",
                    "threshold": threshold,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": [args.email],
                }
                for threshold in THRESHOLDS
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
