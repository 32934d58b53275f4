"""Web servers that tests fetch from."""

from tests.support.rigs.web import other as other
from tests.support.rigs.web import web as web
