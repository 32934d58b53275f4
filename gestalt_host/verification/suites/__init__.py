"""The rules of single kinds: for each kind a package whose ``RULES`` join those of ``families`` (``run.rules_for``).

A rule is made as in ``families`` and names the kinds that it is for.
"""

from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites import indexeddb, plugin, workflow

RULES: tuple[Rule, ...] = (*plugin.RULES, *workflow.RULES, *indexeddb.RULES)
