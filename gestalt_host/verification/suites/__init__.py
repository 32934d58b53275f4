"""The rules of single kinds: for each kind a module whose ``RULES`` join those of ``families`` (``run.rules_for``).

A rule is made as in ``families`` and names the kinds that it is for. There are none yet (docs/providers/verify.md).
"""

from gestalt_host.verification.rules import Rule

RULES: tuple[Rule, ...] = ()
