"""Give a provider of any kind its life cycle and its identity."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.bases.provider import ConfigFault as ConfigFault
    from gestalt_sdk.bases.provider import Provider as Provider
    from gestalt_sdk.bases.provider import ProviderKind as ProviderKind
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "provider": "ConfigFault Provider ProviderKind",
        },
    )
