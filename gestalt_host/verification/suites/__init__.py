"""The rules of single kinds: for each kind a module whose ``RULES`` join those of ``families`` (``run.rules_for``).

A rule is made as in ``families`` and names the kinds that it is for. So far: workflow providers.
"""

from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites import workflow

RULES: tuple[Rule, ...] = (*workflow.RULES,)
