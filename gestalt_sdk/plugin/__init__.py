"""Write plugins: what their author imports."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.plugin.base import Plugin as Plugin
    from gestalt_sdk.plugin.catalogue import Catalogue as Catalogue
    from gestalt_sdk.plugin.operations import DeclarationInvalid as DeclarationInvalid
    from gestalt_sdk.plugin.operations import Operation as Operation
    from gestalt_sdk.plugin.operations import ParameterInvalid as ParameterInvalid
    from gestalt_sdk.plugin.operations import operation as operation
    from gestalt_sdk.plugin.request import Access as Access
    from gestalt_sdk.plugin.request import Credential as Credential
    from gestalt_sdk.plugin.request import ExternalIdentity as ExternalIdentity
    from gestalt_sdk.plugin.request import Request as Request
    from gestalt_sdk.plugin.request import Subject as Subject
    from gestalt_sdk.plugin.types import HTTPSubjectRequest as HTTPSubjectRequest
    from gestalt_sdk.plugin.types import OperationError as OperationError
    from gestalt_sdk.plugin.types import PostConnectCredential as PostConnectCredential
    from gestalt_sdk.plugin.types import Response as Response
    from gestalt_sdk.plugin.types import SubjectRejected as SubjectRejected
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "base": "Plugin",
            "catalogue": "Catalogue",
            "operations": "DeclarationInvalid Operation ParameterInvalid operation",
            "request": "Access Credential ExternalIdentity Request Subject",
            "types": "HTTPSubjectRequest OperationError PostConnectCredential Response SubjectRejected",
        },
    )
