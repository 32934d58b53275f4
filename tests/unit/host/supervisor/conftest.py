"""Provider processes that tests write, and nothing of them left behind."""

from tests.support.rigs.supervisor import launched as launched
from tests.support.rigs.supervisor import no_directory_left as no_directory_left
from tests.support.rigs.supervisor import script as script
