"""Use and provide workflows: their objects, the clients of the host's services, the base of workflow providers."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.workflow.clients import WorkflowHostClient as WorkflowHostClient
    from gestalt_sdk.workflow.clients import WorkflowManagerClient as WorkflowManagerClient
    from gestalt_sdk.workflow.convert import actor_from_proto as actor_from_proto
    from gestalt_sdk.workflow.convert import event_from_proto as event_from_proto
    from gestalt_sdk.workflow.convert import match_from_proto as match_from_proto
    from gestalt_sdk.workflow.convert import run_to_proto as run_to_proto
    from gestalt_sdk.workflow.convert import run_trigger_to_proto as run_trigger_to_proto
    from gestalt_sdk.workflow.convert import schedule_to_proto as schedule_to_proto
    from gestalt_sdk.workflow.convert import signal_from_proto as signal_from_proto
    from gestalt_sdk.workflow.convert import signal_to_proto as signal_to_proto
    from gestalt_sdk.workflow.convert import trigger_to_proto as trigger_to_proto
    from gestalt_sdk.workflow.invoker import Grant as Grant
    from gestalt_sdk.workflow.invoker import InvocationResult as InvocationResult
    from gestalt_sdk.workflow.invoker import PluginInvokerClient as PluginInvokerClient
    from gestalt_sdk.workflow.provider import WorkflowProvider as WorkflowProvider
    from gestalt_sdk.workflow.provider import WorkflowProviderServicer as WorkflowProviderServicer
    from gestalt_sdk.workflow.targets import target_from_proto as target_from_proto
    from gestalt_sdk.workflow.targets import target_to_proto as target_to_proto
    from gestalt_sdk.workflow.types import NOBODY as NOBODY
    from gestalt_sdk.workflow.types import Actor as Actor
    from gestalt_sdk.workflow.types import AgentMessage as AgentMessage
    from gestalt_sdk.workflow.types import AgentTarget as AgentTarget
    from gestalt_sdk.workflow.types import Event as Event
    from gestalt_sdk.workflow.types import EventMatch as EventMatch
    from gestalt_sdk.workflow.types import EventTrigger as EventTrigger
    from gestalt_sdk.workflow.types import EventTriggerInvocation as EventTriggerInvocation
    from gestalt_sdk.workflow.types import ManualTrigger as ManualTrigger
    from gestalt_sdk.workflow.types import MessagePart as MessagePart
    from gestalt_sdk.workflow.types import OutputBinding as OutputBinding
    from gestalt_sdk.workflow.types import OutputDelivery as OutputDelivery
    from gestalt_sdk.workflow.types import PluginTarget as PluginTarget
    from gestalt_sdk.workflow.types import Run as Run
    from gestalt_sdk.workflow.types import RunTrigger as RunTrigger
    from gestalt_sdk.workflow.types import Schedule as Schedule
    from gestalt_sdk.workflow.types import ScheduleTrigger as ScheduleTrigger
    from gestalt_sdk.workflow.types import Signal as Signal
    from gestalt_sdk.workflow.types import SignalResult as SignalResult
    from gestalt_sdk.workflow.types import Target as Target
    from gestalt_sdk.workflow.types import ToolRef as ToolRef
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "clients": "WorkflowHostClient WorkflowManagerClient",
            "convert": (
                "actor_from_proto event_from_proto match_from_proto run_to_proto run_trigger_to_proto "
                "schedule_to_proto signal_from_proto signal_to_proto trigger_to_proto"
            ),
            "invoker": "Grant InvocationResult PluginInvokerClient",
            "provider": "WorkflowProvider WorkflowProviderServicer",
            "targets": "target_from_proto target_to_proto",
            "types": (
                "Actor AgentMessage AgentTarget Event EventMatch EventTrigger EventTriggerInvocation "
                "ManualTrigger MessagePart NOBODY OutputBinding OutputDelivery PluginTarget Run RunTrigger "
                "Schedule ScheduleTrigger Signal SignalResult Target ToolRef"
            ),
        },
    )
