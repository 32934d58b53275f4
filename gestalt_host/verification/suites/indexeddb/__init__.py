"""Rules for stores, a module for each part of the service; ``STORE_RULES`` are those that need its socket alone."""

from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.indexeddb import (
    batch,
    concurrency,
    cursors,
    durability,
    indexes,
    keys,
    limits,
    object_stores,
    transactions,
    values,
)
from gestalt_host.verification.suites.indexeddb.rules import StoreRule

STORE_RULES: tuple[StoreRule, ...] = (
    *object_stores.RULES,
    *keys.RULES,
    *values.RULES,
    *indexes.RULES,
    *cursors.RULES,
    *transactions.RULES,
    *concurrency.RULES,
    *batch.RULES,
    *limits.RULES,
)
RULES: tuple[Rule, ...] = (*STORE_RULES, *durability.RULES)
