"""What plugins have to do besides what every provider does, a module for each part of it."""

from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.plugin import catalogues, execution, hooks, stream

RULES: tuple[Rule, ...] = (*catalogues.RULES, *execution.RULES, *hooks.RULES, *stream.RULES)
