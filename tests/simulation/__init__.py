"""A deterministic simulation of the workflow engine: up to three real engines on a made-up store, host and clock.

``plan`` draws from the seed what befalls them, ``world`` makes it happen, ``workload`` is what clients ask for and
``invariants`` what must hold. ``.venv/bin/python -m tests.simulation SEED`` replays a seed with its trace,
``... SEED LAST`` looks for failing ones; ``make test`` runs 200, ``make nightly`` 6000.
"""
