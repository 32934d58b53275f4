"""Compute times: cron expressions, zones and durations."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.timing.cron import Cron as Cron
    from gestalt_sdk.timing.cron import CronInvalid as CronInvalid
    from gestalt_sdk.timing.cron import check_cron as check_cron
    from gestalt_sdk.timing.cron import parse_cron as parse_cron
    from gestalt_sdk.timing.durations import DurationInvalid as DurationInvalid
    from gestalt_sdk.timing.durations import parse_duration as parse_duration
    from gestalt_sdk.timing.zones import ZoneInvalid as ZoneInvalid
    from gestalt_sdk.timing.zones import load_zone as load_zone
    from gestalt_sdk.timing.zones import normalise_zone as normalise_zone
    from gestalt_sdk.timing.zones import zone_names as zone_names
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "cron": "Cron CronInvalid check_cron parse_cron",
            "durations": "DurationInvalid parse_duration",
            "zones": "ZoneInvalid load_zone normalise_zone zone_names",
        },
    )
