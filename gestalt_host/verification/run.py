"""Trying the rules on a provider, one after the other, each on a process of its own but for those that share one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from gestalt_host.errors import HostError
from gestalt_host.supervisor import ProcessGroups
from gestalt_host.verification import families, suites
from gestalt_host.verification.families.handshake import answers, kind, serves, version
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.report import Finding, Outcome, Report
from gestalt_host.verification.rules import Rule, RulesUnknown, Stage
from gestalt_host.verification.subject import Candidate, Subject, kind_word
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.common.beats import Beats

GATES: Mapping[Stage, Collection[Rule]] = {
    Stage.SERVED: (serves,),
    Stage.ANSWERED: (serves, answers),
    Stage.CONFIGURED: (serves, answers, kind, version),
}
"""The rules without which those that need a stage say nothing, because all would fail for the same reason."""


EVERY: Sequence[Rule] = (*families.RULES, *suites.RULES)


def rules_for(provider: ProviderKind, ids: Collection[str] = ()) -> list[Rule]:
    """Return the rules for a kind, in the order in which they are tried.

    Args:
        ids: Only these, or the whole part of them before the stroke: ``contract.md 2.4``. None: all.
    Raises:
        RulesUnknown: one is not there.
    """
    offered = [rule for rule in EVERY if provider in rule.kinds]
    _require(ids, offered, f" for a provider of kind {kind_word(provider)}")
    return [rule for rule in offered if not ids or any(_is_named(rule, name) for name in ids)]


def require_rules(ids: Collection[str], word: str = "") -> None:
    """Refuse what is no rule, before the provider is looked at.

    Args:
        word: The kind that it will have to be; blank: not known.
    Raises:
        RulesUnknown: one is not there.
    """
    _require(ids, [rule for rule in EVERY if not word or word in map(kind_word, rule.kinds)])


def _require(ids: Collection[str], offered: Collection[Rule], whom: str = "") -> None:
    for name in ids:
        if not any(_is_named(rule, name) for rule in offered):
            raise RulesUnknown(f'no rule "{name}"{whom}; `gestaltd provider verify --list` names them')


def _is_named(rule: Rule, name: str) -> bool:
    return name in (rule.id, rule.id.partition("/")[0])


async def verify(
    candidate: Candidate,
    rules: Sequence[Rule],
    environ: Mapping[str, str],
    tell: Callable[[Finding], None] = lambda finding: None,
) -> Report:
    """Try the rules; ``tell`` gets each finding when it is there.

    Raises:
        HostError: the directories or sockets of the provider cannot be made.
    """
    groups = ProcessGroups(Beats())
    groups.start()
    findings: list[Finding] = []
    failed: dict[str, Rule] = {}
    subjects = _Subjects(candidate, environ, groups)
    try:
        for rule in rules:
            before = next((gate for gate in GATES.get(rule.needs, ()) if gate.id in failed and gate is not rule), None)
            if before is None:
                finding = await _tried(rule, subjects)
            else:
                finding = Finding(rule.id, rule.title, Outcome.NOT_RUN, reason=f"{before.id} failed")
            if finding.outcome is Outcome.FAILED:
                failed[rule.id] = rule
            findings.append(finding)
            tell(finding)
    finally:
        await subjects.close()
        await groups.stop()
    return Report(candidate.shown, kind_word(candidate.kind), findings)


class _Subjects:
    """The processes of the rules: each has its own, but those that share one until a rule fails on it."""

    def __init__(self, candidate: Candidate, environ: Mapping[str, str], groups: ProcessGroups) -> None:
        self._new = lambda: Subject(candidate, environ, groups)
        self._shared: Subject | None = None

    def take(self, rule: Rule) -> Subject:
        """Return the one for a rule; ``give_back`` gets it afterwards."""
        if not rule.shares or self._shared is None:
            return self._new()
        subject, self._shared = self._shared, None
        subject.frames.clear()
        return subject

    async def give_back(self, subject: Subject, *, again: bool) -> None:
        """Keep a subject for the next rule that shares it, or end it."""
        if again:
            self._shared = subject
        else:
            await subject.close()

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()


async def _tried(rule: Rule, subjects: _Subjects) -> Finding:
    began = time.monotonic()
    subject, again = subjects.take(rule), False
    try:
        await _check(rule, subject)
        again = rule.shares
    except NotOffered as error:
        again = rule.shares
        return Finding(rule.id, rule.title, Outcome.NOT_OFFERED, time.monotonic() - began, reason=str(error))
    except Broken as error:
        return Finding(
            *(rule.id, rule.title, Outcome.FAILED, time.monotonic() - began),
            expected=error.expected,
            seen=error.seen,
            frames=subject.frames.all(),
            last_lines=tuple(subject.last_lines),
        )
    finally:
        await subjects.give_back(subject, again=again)
    return Finding(rule.id, rule.title, Outcome.PASSED, time.monotonic() - began)


async def _check(rule: Rule, subject: Subject) -> None:
    """Try the rule in the time that a rule has.

    Raises:
        Broken: it does not hold, does not come to its end in time, or met what it has not foreseen.
        NotOffered: the provider does not have what it is about.
        HostError: this machine does not allow it to be tried.
    """
    limit_s = subject.patience.rule_s
    deadline = asyncio.timeout(limit_s)
    try:
        async with deadline:
            await rule.check(subject)
    except HostError:
        raise
    except Exception as error:
        if deadline.expired():
            raise Broken(f"the rule to come to its end within {limit_s:g} s", "it waited for the provider") from error
        raise Broken("the rule to come to its end", f"{type(error).__name__}: {error}") from error
