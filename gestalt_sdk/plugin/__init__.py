"""What the author of a plugin imports."""

from gestalt_sdk.plugin.base import HTTPSubjectRequest as HTTPSubjectRequest
from gestalt_sdk.plugin.base import OperationError as OperationError
from gestalt_sdk.plugin.base import Plugin as Plugin
from gestalt_sdk.plugin.base import PostConnectCredential as PostConnectCredential
from gestalt_sdk.plugin.base import Response as Response
from gestalt_sdk.plugin.base import SubjectRejected as SubjectRejected
from gestalt_sdk.plugin.operations import Operation as Operation
from gestalt_sdk.plugin.operations import operation as operation
from gestalt_sdk.plugin.request import Access as Access
from gestalt_sdk.plugin.request import Credential as Credential
from gestalt_sdk.plugin.request import Request as Request
from gestalt_sdk.plugin.request import Subject as Subject
