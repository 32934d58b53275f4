"""The parameters of a call, which travel as a serialised message where nobody on their way looks at them."""

from __future__ import annotations

from collections.abc import Mapping

from gestalt_host.invocation.model import Payload


def members_of(payload: Payload) -> Mapping[str, object]:
    """Return the members of a JSON object that may be a serialised ``google.protobuf.Struct``."""
    if not isinstance(payload, bytes):
        return payload
    from google.protobuf.struct_pb2 import Struct

    from gestalt_sdk.transport.values import from_struct

    return from_struct(Struct.FromString(payload))
