"""The command line in this process, and the server it talks to."""

from tests.support.rigs.cli import bare as bare
from tests.support.rigs.cli import gestalt as gestalt
from tests.support.rigs.cli import server as server
