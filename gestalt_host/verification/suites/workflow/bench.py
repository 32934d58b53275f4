"""What a rule of this suite gets: a host that it scripts, a store, and processes of the provider on both."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf.message import Message

from gestalt_host.verification.outcomes import Broken, require_equal
from gestalt_host.verification.rules import Rule, Stage
from gestalt_host.verification.subject import UNIMPLEMENTED, Answer, Subject
from gestalt_host.verification.suites.workflow.client import SERVICE, MessageType, WorkflowClient
from gestalt_host.verification.suites.workflow.host import ScriptedHost
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.transport.environment import WORKFLOW_HOST_SOCKET

INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
)
INTERRUPTED = "workflow provider restarted while run was in progress"


class CallFailed(Broken):
    """A call that the rule needed was answered with an error.

    Attributes:
        answer: That error.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.method} to succeed", str(answer))
        self.answer = answer


class Process(WorkflowClient):
    """One process of the provider, or several after one another on the same store."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    async def call(self, method: str, request: Message, answers: type[MessageType]) -> MessageType:
        return await self.ask(SERVICE, method, request, answers)

    async def ask(self, service: str, method: str, request: Message, answers: type[MessageType]) -> MessageType:
        """Make a call of any of its services.

        Raises:
            CallFailed: it is answered with an error.
            Broken: its answer is no such message.
        """
        answer = await self.subject.call(service, method, request, answers=answers)
        if not answer.is_ok:
            raise CallFailed(answer)
        return answer.read(answers)

    async def configure(self) -> None:
        """Configure it.

        Raises:
            Broken: it refuses.
        """
        (await self.subject.ask()).require_ok()
        (await self.subject.configure()).require_ok()

    async def start(self) -> None:
        """Let it begin its work.

        Raises:
            Broken: it refuses.
        """
        answer = await self.subject.start()
        if answer.code is not UNIMPLEMENTED:
            answer.require_ok()

    async def restart(self, *, start: bool = True) -> None:
        """Start another process on what the last one has stored.

        Raises:
            Broken: it does not come up.
        """
        await self.subject.relaunch()
        await self.configure()
        if start:
            await self.start()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self.subject.signal(signal.SIGKILL)
        await self.subject.ended_within(self.subject.patience.alive_s)


class Bench:
    """A host and a store of a rule's own, and the processes that it starts on them."""

    def __init__(self, subject: Subject, capability: str = "") -> None:
        self.host = ScriptedHost(subject.frames)
        self._subject = subject
        self._capability = capability
        self._processes: list[Process] = []
        subject.host_services.instead[WORKFLOW_HOST_SOCKET] = self.host.register

    async def process(self, *, configure: bool = True, start: bool = True) -> Process:
        """Start a process, beside those that there are, configured and told to begin its work.

        Raises:
            Broken: it does not come up.
            NotOffered: it does not have what the rule is about.
        """
        if self._processes:
            process = Process(self._subject.beside())
            await process.subject.relaunch()
        else:
            process = Process(self._subject)
            await process.subject.launch()
        self._processes.append(process)
        if not configure:
            return process
        await process.configure()
        if self._capability:
            await process.subject.require_capability(self._capability)
        if start:
            await process.start()
        return process

    async def apart(self) -> Bench:
        """Return another bench with a host and a store of its own, which ends with this one."""
        return Bench(self._subject.beside(), self._capability)


Attempt = Callable[[Bench], Awaitable[None]]


def workflow_rule(id: str, title: str, *, capability: str = "") -> Callable[[Attempt], Rule]:
    """Make a rule of the function that follows; the arguments are the attributes of ``Rule``."""

    def ruled(attempt: Attempt) -> Rule:
        async def check(subject: Subject) -> None:
            await attempt(Bench(subject, capability))

        return Rule(id, title, check, (ProviderKind.WORKFLOW,), capability, Stage.CONFIGURED)

    return ruled


async def require_refused(call: Awaitable[object], code: grpc.StatusCode, text: str = "") -> str:
    """Require that a call is refused; return the text that it is refused with.

    Args:
        text: What it must say; blank: anything.
    Raises:
        Broken: it is not, or with another code or text.
    """
    try:
        answer = await call
    except CallFailed as error:
        found = error.answer
        wanted = code.name + (f": {text}" if text else "")
        if found.code is not code or (text and found.details != text):
            raise Broken(f"{found.method} to be refused with {wanted}", str(found)) from None
        return found.details
    raise Broken(f"a refusal with {code.name}" + (f": {text}" if text else ""), f"an answer: {answer}")


__all__ = [
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "INTERRUPTED",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "Bench",
    "CallFailed",
    "Process",
    "require_equal",
    "require_refused",
    "workflow_rule",
]
