from tests.host_workflows.conftest import rig

__all__ = ["rig"]
