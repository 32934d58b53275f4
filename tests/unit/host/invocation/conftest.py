from tests.unit.host.workflows.conftest import rig

__all__ = ["rig"]
