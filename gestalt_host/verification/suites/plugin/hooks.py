"""What a plugin may offer besides operations: catalogues of sessions, credentials, subjects of HTTP requests."""

from __future__ import annotations

from google.protobuf.message import Message

from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.subject import PLUGIN, UNIMPLEMENTED, Answer, Subject
from gestalt_host.verification.suites.plugin.catalogues import PLUGINS, operations_of
from gestalt_sdk.gen.v1 import plugin_pb2 as pb

_REJECTIONS = range(400, 600)
_CALLER = pb.RequestContext(subject=pb.SubjectContext(id="user:verification", kind="user"))


async def _asked(subject: Subject, method: str, request: Message, answers: type[Message]) -> Answer:
    answer = await subject.call(PLUGIN, method, request, answers=answers)
    await subject.require_answering(f"after {method}")
    return answer


async def _metadata(subject: Subject) -> pb.ProviderMetadata:
    """Launch and configure it; return its metadata, which is empty where it has none."""
    await subject.launch()
    await subject.require_configured()
    answer = await subject.ask()
    return pb.ProviderMetadata() if answer.code is UNIMPLEMENTED else answer.read(pb.ProviderMetadata)


@rule(
    "contract.md 4.5/session-catalogue",
    "The catalogue of a session that it announces can be used, or is refused",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def session_catalogue(subject: Subject) -> None:
    if not (await _metadata(subject)).supports_session_catalog:
        raise NotOffered("GetSessionCatalog")
    request = pb.GetSessionCatalogRequest(invocation_id="verification", context=_CALLER)
    answer = await _asked(subject, "GetSessionCatalog", request, pb.GetSessionCatalogResponse)
    if answer.code is UNIMPLEMENTED:
        raise Broken("GetSessionCatalog, which its metadata announces", str(answer))
    if not answer.is_ok:
        raise NotOffered(f"a catalogue for a caller without a credential ({answer.code.name})")
    operations_of(answer.read(pb.GetSessionCatalogResponse).catalog)


@rule(
    "contract.md 4.5/post-connect",
    "PostConnect, where it announces it, answers a credential that it does not know",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def post_connect(subject: Subject) -> None:
    if not (await _metadata(subject)).supports_post_connect:
        raise NotOffered("PostConnect")
    credential = pb.PostConnectCredential(
        id="verification", subject_id="user:verification", access_token="no-token", metadata_json="{}"
    )
    for request in (pb.PostConnectRequest(token=credential), pb.PostConnectRequest()):
        answer = await _asked(subject, "PostConnect", request, pb.PostConnectResponse)
        if answer.code is UNIMPLEMENTED:
            raise Broken("PostConnect, which its metadata announces", str(answer))


@rule(
    "contract.md 4.5/http-subject",
    "ResolveHTTPSubject names a subject, or rejects the request with a status of HTTP",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def http_subject(subject: Subject) -> None:
    await _metadata(subject)
    request = pb.ResolveHTTPSubjectRequest(
        request=pb.HTTPSubjectRequest(binding="verification", method="POST", path="/", raw_body=b"\0\xff"),
        context=_CALLER,
    )
    answer = await _asked(subject, "ResolveHTTPSubject", request, pb.ResolveHTTPSubjectResponse)
    if answer.code is UNIMPLEMENTED:
        raise NotOffered("ResolveHTTPSubject")
    if not answer.is_ok:
        return
    status = answer.read(pb.ResolveHTTPSubjectResponse).reject_status
    if status > 0 and status not in _REJECTIONS:
        raise Broken("reject_status to be 0, or from 400 to 599", str(status))


RULES: tuple[Rule, ...] = (session_catalogue, post_connect, http_subject)
