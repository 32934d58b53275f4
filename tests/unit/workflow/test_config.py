"""The provider's configuration (semantics.md 15.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.config import read_config
from gestalt_workflow.model.errors import InvalidConfiguration


def test_defaults() -> None:
    config = read_config({})
    assert (config.poll_interval, config.worker_count) == (timedelta(seconds=1), 4)
    assert (config.claim_ttl, config.claim_renew_every) == (timedelta(minutes=10), timedelta(minutes=10) / 3)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"pollInterval": " 1s "}, "pollInterval"),
        ({"keepRunsFor": " 720h"}, "keepRunsFor"),
        ({"pollInterval": "soon"}, "pollInterval"),
        ({"pollInterval": 5}, "pollInterval"),
        ({"runClaimTTL": 1.5}, "runClaimTTL"),
        ({"runClaimRenewEvery": True}, "runClaimRenewEvery"),
        ({"workerCount": "4"}, "workerCount"),
        ({"workerCount": 1.5}, "workerCount"),
        ({"workerCount": True}, "workerCount"),
        ({"maxResultBytes": "1M"}, "maxResultBytes"),
        ({"maxResultBytes": 16 * 1024 * 1024 + 1}, "maxResultBytes"),
        ({"maxListBytes": 64 * 1024 * 1024}, "maxListBytes"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_value(config: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        read_config(config)
    assert str(refused.value).startswith(f"{key} is {config[key]!r}; expected ")


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(InvalidConfiguration, match=r"pollInterval .*; workerCount "):
        read_config({"pollInterval": "x", "workerCount": "y"})


def test_zero_and_less_mean_the_default() -> None:
    config = read_config({"pollInterval": "-1s", "workerCount": 0, "runClaimTTL": "0", "runClaimRenewEvery": "-1s"})
    assert config == read_config({})


def test_a_renewal_that_would_come_too_late_is_a_third_of_the_lease() -> None:
    assert read_config({"runClaimTTL": "3s", "runClaimRenewEvery": "3s"}).claim_renew_every == timedelta(seconds=1)
    assert read_config({"runClaimTTL": "9s"}).claim_renew_every == timedelta(seconds=3)


def test_unknown_keys_are_warnings() -> None:
    (warning,) = read_config({"colour": "blue"}).warnings
    assert "'colour'" in warning
    assert "pollInterval" in warning
