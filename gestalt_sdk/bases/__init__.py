"""Give a provider of any kind its life cycle and its identity."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.bases.metrics import Counter as Counter
    from gestalt_sdk.bases.metrics import Histogram as Histogram
    from gestalt_sdk.bases.metrics import MetricFamily as MetricFamily
    from gestalt_sdk.bases.metrics import MetricKind as MetricKind
    from gestalt_sdk.bases.metrics import MetricSample as MetricSample
    from gestalt_sdk.bases.metrics import gauge as gauge
    from gestalt_sdk.bases.provider import ConfigFault as ConfigFault
    from gestalt_sdk.bases.provider import Notice as Notice
    from gestalt_sdk.bases.provider import Provider as Provider
    from gestalt_sdk.bases.provider import ProviderKind as ProviderKind
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "metrics": "Counter Histogram MetricFamily MetricKind MetricSample gauge",
            "provider": "ConfigFault Notice Provider ProviderKind",
        },
    )
