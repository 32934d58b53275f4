"""Write agent providers: what their author imports."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.agent.provider import FAULTS as FAULTS
    from gestalt_sdk.agent.provider import AgentHostClient as AgentHostClient
    from gestalt_sdk.agent.provider import AgentObjectNotFound as AgentObjectNotFound
    from gestalt_sdk.agent.provider import AgentProvider as AgentProvider
    from gestalt_sdk.agent.provider import AgentRequestInvalid as AgentRequestInvalid
    from gestalt_sdk.agent.provider import AgentStateConflict as AgentStateConflict
    from gestalt_sdk.agent.types import Asker as Asker
    from gestalt_sdk.agent.types import Capabilities as Capabilities
    from gestalt_sdk.agent.types import Interaction as Interaction
    from gestalt_sdk.agent.types import NewSession as NewSession
    from gestalt_sdk.agent.types import NewTurn as NewTurn
    from gestalt_sdk.agent.types import ResolvedConnection as ResolvedConnection
    from gestalt_sdk.agent.types import Session as Session
    from gestalt_sdk.agent.types import SessionStartHook as SessionStartHook
    from gestalt_sdk.agent.types import SessionState as SessionState
    from gestalt_sdk.agent.types import Tool as Tool
    from gestalt_sdk.agent.types import Turn as Turn
    from gestalt_sdk.agent.types import TurnEvent as TurnEvent
    from gestalt_sdk.agent.types import TurnStatus as TurnStatus
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "provider": (
                "AgentHostClient AgentObjectNotFound AgentProvider AgentRequestInvalid AgentStateConflict FAULTS"
            ),
            "types": (
                "Asker Capabilities Interaction NewSession NewTurn ResolvedConnection Session SessionStartHook "
                "SessionState Tool Turn TurnEvent TurnStatus"
            ),
        },
    )
