"""Makes the deployer's least-privilege policies from the table of API calls and the declared resources.

An action is limited by ARN where the stack names the resource, elsewhere by the tags Project and Stack;
permissions.WIDE lists actions that neither can limit. A policy that fails `up` halfway is worse than a wide one, so an
action whose resource may lack name or tag at the time of the call is wide, and listed.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from contract.exits import OK
from experiment import program
from experiment.aws import permissions
from experiment.aws.provider_calls import CallTarget, ProviderCall, TypeRow, table
from experiment.errors import StepError
from experiment.program import Resource
from infra import settings as stack_settings
from infra.naming import named

# IAM's limit for a managed policy, in characters without white space.
LIMIT = 6144

Policy = dict[str, Any]
# With these settings the program declares every resource that has a name.
EVERYTHING = {"budgetUsd": 1, "budgetEmail": "nobody@example.com"}
_ANY = ("*",)
_READS = ("Describe", "Get", "List", "View", "StartQuery")


class Writer:
    """Turns calls into statements; calls with the same resources and condition share one."""

    def __init__(self, declared: Iterable[Resource], project: str, stack: str, rows: Mapping[str, TypeRow]) -> None:
        self._names: dict[str, list[str]] = {}
        self._attached: list[str] = []
        for resource in declared:
            name_input = permissions.NAME_GIVEN.get(resource.type)
            name = str(resource.inputs[name_input]) if name_input else resource.name + permissions.RANDOM
            self._names.setdefault(resource.type, []).append(name)
            if resource.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
                self._attached.append(str(resource.inputs["policyArn"]))
        self._tags = {"Project": project, "Stack": stack}
        self._rows = rows
        self._actions: dict[tuple[str, str], set[str]] = {}
        self._resources: dict[tuple[str, str], set[str]] = {}

    def statements(self) -> list[Policy]:
        """One statement for each way of limiting actions."""
        for row in self._rows.values():
            for call in row:
                for target in call.targets:
                    self._allow(call, target)
        written: list[Policy] = []
        for (sid, condition), actions in sorted(self._actions.items()):
            if not self._resources[sid, condition]:
                continue  # no declared resource has this name
            statement: Policy = {
                "Sid": sid,
                "Effect": "Allow",
                "Action": sorted(actions),
                "Resource": sorted(self._resources[sid, condition]),
            }
            written.append(statement | ({"Condition": json.loads(condition)} if condition else {}))
        return written

    def _allow(self, call: ProviderCall, target: CallTarget) -> None:
        action, title = call.action, call.service.capitalize()
        kind = _word(target.kind)
        match target.how:
            case "any":
                reads = call.action.split(":")[1].startswith(_READS)
                self._add("Look" if reads else "Wide", action, _ANY)
            case "named":
                self._add(*self._named(call, target))
            case "new":
                self._add(f"{title}New{kind}", action, [_arn(call.service, target.kind)])
            case "created":
                self._add(f"{title}TagNew", action, _ANY, {"ec2:CreateAction": self._creating()})
            case "marked":
                self._add(f"{title}Mark", action, [_arn(call.service, target.kind)], self._bearing("RequestTag"))
            case "tagged":
                self._add(f"{title}Tagged", action, _ANY, self._bearing("ResourceTag"))
            case _:
                self._add(f"{title}Untagged", action, [_arn(call.service, target.kind)])

    def _named(
        self, call: ProviderCall, target: CallTarget
    ) -> tuple[str, str, list[str], Mapping[str, list[str]], str]:
        """A named target's title, action, ARNs and condition; PassRole and similar get their own statements."""
        title = call.service.capitalize()
        templates, of = permissions.NAMED[f"{call.service}:{target.kind}"]
        names = self._names.get(of, []) if of else [""]
        arns = [template.replace("{}", name) for template in templates for name in names]
        if call.action in permissions.SERVICE_KEY:
            services = sorted(
                {
                    passed.service
                    for row in self._rows.values()
                    for same in row
                    if same.action == call.action
                    for passed in same.targets
                }
            )
            name = call.action.split(":")[1]
            return name, call.action, arns, {permissions.SERVICE_KEY[call.action]: services}, "StringEquals"
        if call.action == "iam:AttachRolePolicy":
            return "AttachRolePolicy", call.action, arns, {"iam:PolicyARN": sorted(self._attached)}, "ArnLike"
        if target.kind == "session":
            return f"{title}OwnSession", call.action, arns, {}, ""
        return f"{title}Named", call.action, arns, {}, ""

    def _creating(self) -> list[str]:
        """EC2's names of the actions that create something with tags."""
        return sorted(
            {
                call.action.split(":")[1]
                for row in self._rows.values()
                for call in row
                if call.service == "ec2" and any(target.how == "new" for target in call.targets)
            }
        )

    def _bearing(self, key: str) -> dict[str, list[str]]:
        return {f"aws:{key}/{name}": [value] for name, value in self._tags.items()}

    def _add(
        self,
        sid: str,
        action: str,
        resources: Iterable[str],
        condition: Mapping[str, list[str]] | None = None,
        operator: str = "StringEquals",
    ) -> None:
        key = (sid, json.dumps({operator: condition}) if condition else "")
        whole = [pattern for pattern in permissions.READ_WHOLE if fnmatchcase(action, pattern)]
        self._actions.setdefault(key, set()).add(whole[0] if whole else action)
        self._resources.setdefault(key, set()).update(resources)


def _arn(service: str, kind: str) -> str:
    """The ARN pattern for every resource of a type whose ids AWS generates."""
    return f"arn:aws:route53:::{kind}/*" if service == "route53" else f"arn:aws:{service}:*:*:{kind}/*"


def _word(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.replace("/", "-").split("-"))


def size(policy: Policy) -> int:
    """The characters that IAM counts."""
    return len(json.dumps(policy, separators=(",", ":")))


def policies(declared: Iterable[Resource], project: str, stack: str) -> dict[str, Policy]:
    """Managed policies by name: as few as possible, filled with the largest statements first."""
    made: list[Policy] = []
    statements = Writer(declared, project, stack, table()).statements()
    for statement in sorted(statements, key=size, reverse=True):
        for policy in made:
            fuller: Policy = {**policy, "Statement": [*policy["Statement"], statement]}
            if size(fuller) <= LIMIT:
                policy["Statement"].append(statement)
                break
        else:
            made.append({"Version": "2012-10-17", "Statement": [statement]})
    for policy in made:
        policy["Statement"].sort(key=lambda statement: statement["Sid"])
    return {f"{named('deployer', stack)}-{place}": policy for place, policy in enumerate(made, start=1)}


def run(stack: str, folder: Path | None) -> int:
    """Print the policies as one JSON object, or write a file each and print the commands that make them.

    Needs neither Pulumi's CLI nor a passphrase: it ignores the stack's settings and declares everything that a setting
    can add, because no name depends on a setting.
    """
    stack = stack.rsplit("/", maxsplit=1)[-1]
    try:
        declared = program.declare({**stack_settings.defaults(), **EVERYTHING}, stack)
    except program.ProgramError as error:
        raise StepError("policy", f"stack {stack}", str(error), "fix the program or its settings") from error
    made = policies(declared, stack_settings.project_name(), stack)
    if folder is None:
        sys.stdout.write(json.dumps(made, indent=1) + "\n")
        return OK
    folder.mkdir(parents=True, exist_ok=True)
    for name, policy in made.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(policy, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"aws iam create-policy --policy-name {name} --policy-document file://{file}\n")
    return OK
