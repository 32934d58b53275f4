"""Web servers that stand for the service behind a plugin."""

from tests.support.rigs.web import other as other
from tests.support.rigs.web import web as web
