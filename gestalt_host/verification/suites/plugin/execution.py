"""Operations that are executed: unknown ones, parameters that do not fit, many at once, calls that are given up.

No operation is called that could change anything, unless the plugin takes parameters that it has to refuse.
"""

from __future__ import annotations

import asyncio

from gestalt_host.packages.catalogue import CatalogueOperation
from gestalt_host.verification.families.messages import LARGE_BYTES
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.subject import PLUGIN, Subject
from gestalt_host.verification.suites.plugin.calls import (
    REFUSALS,
    UNKNOWN_OPERATION,
    catalogue_of,
    execute,
    harmless_operation,
    parameter_types,
    require_refused,
    require_result,
    required_parameters,
)
from gestalt_host.verification.suites.plugin.catalogues import PLUGINS
from gestalt_sdk.gen.v1 import plugin_pb2 as pb

AT_ONCE = 50
GIVEN_UP = 50
MOST_TRIED = 50
"""Operations of a catalogue that one rule tries."""
NOT_FOUND = 404
ODD_NAMES = (UNKNOWN_OPERATION, "", "no such\n\0operation", "x" * 10_000, "операция")
ODD_TOKENS = ("", "no-token", "a.b.c", "x" * 100_000)
FITTING: dict[str, object] = {
    "string": "x",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
}
"""A value of each type."""
UNFIT: dict[str, object] = {
    "integer": "no number",
    "number": "no number",
    "boolean": {"no": "truth value"},
    "array": "no list",
    "object": "no object",
}
"""For each type a value that cannot be made one of it. What a text cannot be made of depends on the language."""


@rule(
    "contract.md 4.5/unknown-operation",
    "Operations that it does not have are refused",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def unknown_operation(subject: Subject) -> None:
    await _configured(subject)
    for name in ODD_NAMES:
        require_refused(await execute(subject, name), f"the operation {name[:40]!r}")
    await subject.require_answering("after operations that it does not have")


@rule(
    "contract.md 4.5/missing-parameters",
    "An operation of its catalogue is there, and refused without the parameters that it requires",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def missing_parameters(subject: Subject) -> None:
    tried = [operation for operation in await _operations(subject) if required_parameters(operation)]
    if not tried:
        raise NotOffered("an operation that requires a parameter")
    await _configured(subject)
    for operation in tried[:MOST_TRIED]:
        what = f"{operation.id} without {', '.join(required_parameters(operation))}"
        answer = await execute(subject, operation.id)
        require_refused(answer, what)
        if answer.is_ok and answer.read(pb.OperationResult).status == NOT_FOUND:
            raise Broken(f"{operation.id}, which is in its catalogue, to be known", f"status {NOT_FOUND} for {what}")
    await subject.require_answering("after calls without required parameters")


@rule(
    "contract.md 4.5/mistyped-parameters",
    "Parameters of another type than its catalogue says are refused",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def mistyped_parameters(subject: Subject) -> None:
    tried = [
        (operation, name, found)
        for operation in await _operations(subject)
        for name, found in parameter_types(operation).items()
        if found in UNFIT
    ]
    if not tried:
        raise NotOffered("a parameter of another type than string")
    await _configured(subject)
    for operation, name, found in tried[:MOST_TRIED]:
        types = parameter_types(operation)
        params = {item: FITTING.get(types.get(item, ""), "x") for item in required_parameters(operation)}
        answer = await execute(subject, operation.id, {**params, name: UNFIT[found]})
        require_refused(answer, f"{operation.id} with {name} = {UNFIT[found]!r}, which is no {found}")
    await subject.require_answering("after parameters of other types")


@rule(
    "contract.md 4.5/large-parameters",
    "Parameters of almost 4 MiB for an operation that it does not have are refused",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def large_parameters(subject: Subject) -> None:
    await _configured(subject)
    answer = await execute(subject, UNKNOWN_OPERATION, {"text": "x" * LARGE_BYTES})
    require_refused(answer, f"an unknown operation with {LARGE_BYTES} bytes of parameters")


@rule(
    "contract.md 4.5/at-once",
    f"{AT_ONCE} calls at once are each answered",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def at_once(subject: Subject) -> None:
    operation = await harmless_operation(subject)
    await _configured(subject)
    for answer in await asyncio.gather(*(execute(subject, operation) for _ in range(AT_ONCE))):
        if answer.code not in REFUSALS:
            require_result(answer, f"one of {AT_ONCE} calls of {operation} at once")
    await subject.require_answering(f"after {AT_ONCE} calls at once")


@rule(
    "contract.md 4.5/read-only",
    "Each of its operations that only reads, and requires no parameter, answers with a status",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def read_only(subject: Subject) -> None:
    tried = [item for item in await _operations(subject) if item.read_only and not required_parameters(item)]
    if not tried:
        raise NotOffered("an operation that only reads and requires no parameter")
    await _configured(subject)
    for operation in tried[:MOST_TRIED]:
        require_result(await execute(subject, operation.id), operation.id)


@rule(
    "contract.md 4.5/context",
    "Tokens that nobody has issued, and what else comes along with a call, are tolerated",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def context(subject: Subject) -> None:
    await _configured(subject)
    for token in ODD_TOKENS:
        answer = await execute(
            subject,
            UNKNOWN_OPERATION,
            invocation_token=token,
            token=token,
            invocation_id="verification",
            idempotency_key=token,
            connection_params={"region": token, "": ""},
            context=pb.RequestContext(
                subject=pb.SubjectContext(id="user:verification", kind="user", display_name="V", auth_source="none"),
                credential=pb.CredentialContext(mode="none"),
                host=pb.HostContext(public_base_url="https://host.example"),
            ),
        )
        require_refused(answer, f"an unknown operation with a token of {len(token)} characters")
    await subject.require_answering("after tokens that nobody has issued")


@rule(
    "contract.md 4.5/given-up",
    "Calls of operations that are given up keep it from answering nobody",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def given_up(subject: Subject) -> None:
    operation = await harmless_operation(subject)
    await _configured(subject)
    body = pb.ExecuteRequest(operation=operation).SerializeToString()
    execution = subject.channel.unary_unary(f"/{PLUGIN}/Execute")
    calls = [execution(body, timeout=0.001 * index) for index in range(GIVEN_UP)]
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*(_status(call) for call in calls))
    require_refused(await execute(subject, UNKNOWN_OPERATION), "an unknown operation after calls that were given up")


async def _status(call: object) -> None:
    await call.code()  # type: ignore[attr-defined]


async def _configured(subject: Subject) -> None:
    await subject.launch()
    await subject.require_configured()


async def _operations(subject: Subject) -> list[CatalogueOperation]:
    return list((await catalogue_of(subject)).operations.values())


RULES: tuple[Rule, ...] = (
    unknown_operation,
    missing_parameters,
    mistyped_parameters,
    large_parameters,
    at_once,
    read_only,
    context,
    given_up,
)
