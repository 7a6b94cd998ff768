"""parliament, which holds policies against the service authorization reference: actions, resources, conditions."""

import importlib
import importlib.resources
import sys
import warnings
from types import ModuleType
from typing import Any
from unittest.mock import patch


def _load() -> Any:
    """Parliament asks pkg_resources, which setuptools no longer has, for the place of two files of its own."""
    places = ModuleType("pkg_resources")
    places.resource_filename = lambda package, name: str(importlib.resources.files(package) / name)  # type: ignore[attr-defined] - a module made here
    with patch.dict(sys.modules, {"pkg_resources": places}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in its own strings
        return importlib.import_module("parliament")


parliament = _load()


def findings(policy: str) -> list[str]:
    """What parliament says against a policy, given as JSON text: the first of each kind."""
    audit = parliament.analyze_policy_string(policy)
    first = {finding.issue: finding for finding in reversed(audit.findings)}
    return [f"{issue}: {finding.detail or finding.title}" for issue, finding in first.items()]
