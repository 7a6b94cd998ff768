"""The budget that warns when a stack is forgotten, if one is asked for."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.naming import COMPONENT, named

# Per cent of the month's amount that has been spent. Forecasts are not asked for: AWS makes them from about five weeks
# of use, and a stack lives for hours.
THRESHOLDS = (50.0, 80.0, 100.0)


@dataclass(frozen=True)
class BudgetArgs:
    """How much a month may cost, and who is told."""

    usd: int
    email: str


class Budget(pulumi.ComponentResource):
    """A monthly cost budget on what bears this stack's tags Project and Stack; each threshold sends one e-mail.

    It sees nothing until both tags are activated for cost allocation in the account that pays (Billing and Cost
    Management, "Cost allocation tags"); from then on it counts, not backwards. Its figures come hours late (AWS updates
    budgets up to three times a day), and it is destroyed with the stack: it guards a forgotten month, not a night.
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
            # Both tags: cost_filters would join two values of TagKeyValue with "or". An expression writes a tag's key
            # as Cost Explorer does, without the "user:" of cost_filters.
            filter_expression={
                "ands": [
                    {"tags": {"key": key, "values": [value], "match_options": ["EQUALS"]}}
                    for key, value in tags.items()
                ]
            },
            # An expression goes with a metric, where cost_filters go with cost_types.
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
