"""Configurations: one that is sent twice, and ones that no provider can use."""

from __future__ import annotations

from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import LIFECYCLE, Rule, Stage, rule
from gestalt_host.verification.subject import NAME, UNIMPLEMENTED, Subject
from gestalt_sdk.bases.check import CAPABILITY
from gestalt_sdk.gen.extension.v1 import check_pb2

CHECK = "gestalt.extension.v1.ProviderCheck"
UNKNOWN_KEY = "noProviderHasThisKey"
_DEEP = 20


def unfit(config: dict[str, object]) -> list[dict[str, object]]:
    """Return configurations that cannot be used: every known key with values of other types, and unknown keys."""
    nested: object = "x"
    for _ in range(_DEEP):
        nested = {"a": [nested]}
    values: list[object] = [None, True, -1.5, "\0", "x" * 10_000, [], {}, nested]
    return [{UNKNOWN_KEY: value, **dict.fromkeys(config, value)} for value in values]


@rule("contract.md 1.3/configure-twice", "It can be configured twice", kinds=LIFECYCLE, needs=Stage.CONFIGURED)
async def configure_twice(subject: Subject) -> None:
    await subject.launch()
    for _ in range(2):
        (await subject.configure()).require_ok()
    await subject.require_answering("after it was configured twice")


@rule(
    "contract.md 1.3/bad-configuration",
    "A configuration that it cannot use is answered, and the next one is used",
    needs=Stage.CONFIGURED,
)
async def bad_configuration(subject: Subject) -> None:
    await subject.launch()
    for config in unfit(dict(subject.config)):
        answer = await subject.configure(config)
        if subject.is_plugin and answer.code is UNIMPLEMENTED:
            raise NotOffered("StartProvider")
        await subject.require_answering("after a configuration with values of other types")
    (await subject.configure()).require_ok()


@rule(
    "contract.md 1.3/check-config",
    "CheckConfig judges a configuration before and after it is configured, and changes nothing",
    kinds=LIFECYCLE,
    capability=CAPABILITY,
    needs=Stage.CONFIGURED,
)
async def check_config(subject: Subject) -> None:
    await subject.launch()
    await subject.require_capability(CAPABILITY)
    request = check_pb2.CheckConfigRequest(name=NAME)
    for _ in range(2):
        answer = await subject.call(CHECK, "CheckConfig", request, answers=check_pb2.CheckConfigResponse)
        answer.read(check_pb2.CheckConfigResponse)
        if (name := (await subject.identity()).name) not in ("", NAME):
            raise Broken("the name that it was configured with", name)
        (await subject.configure()).require_ok()


RULES: tuple[Rule, ...] = (configure_twice, bad_configuration, check_config)
