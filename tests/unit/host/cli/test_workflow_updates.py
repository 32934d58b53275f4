"""``update`` of schedules and triggers beside somebody else's change: nothing is overwritten unseen (decision 31)."""

from __future__ import annotations

from typing import Any

import pytest

from gestalt_host.cli.commands.workflow_shared import UPDATE_ATTEMPTS
from tests.support.rigs.cli import Answer, Gestalt, Server

SCHEDULE = "/api/v1/workflow/schedules/s-1"
TRIGGER = "/api/v1/workflow/event-triggers/t-1"
PLUGIN = {"name": "alpha", "operation": "doit", "input": {"a": 1}}
CHANGED = Answer({"error": "has been changed", "code": "revision_mismatch"}, 412)


def schedule(cron: str = "0 3 * * *", **members: Any) -> dict[str, Any]:
    return {"id": "s-1", "cron": cron, "timezone": "UTC", "paused": False, "target": {"plugin": PLUGIN}, **members}


def changes_once(server: Server, path: str, before: Any, after: Any) -> None:
    """Somebody else makes ``after`` of ``before`` when the command has read it."""
    server.first["GET", path] = [Answer(before, headers={"ETag": '"1"'})]
    server.first["PUT", path] = [CHANGED]
    server.on("GET", path, after, headers={"ETag": '"2"'})


def test_an_update_names_the_tag_that_it_read(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULE, schedule(), headers={"ETag": '"7"'})
    assert gestalt("workflow", "schedules", "update", "s-1", "--cron", "5 4 * * *").code == 0
    assert server.requests[-1].headers["if-match"] == '"7"'


def test_a_server_without_tags_is_asked_without_one(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULE, schedule())
    assert gestalt("workflow", "schedules", "update", "s-1", "--cron", "5 4 * * *").code == 0
    assert "if-match" not in server.requests[-1].headers


def test_a_change_of_other_members_is_kept(gestalt: Gestalt, server: Server) -> None:
    changes_once(server, SCHEDULE, schedule(), schedule(timezone="Europe/Paris", paused=True))
    assert gestalt("workflow", "schedules", "update", "s-1", "--cron", "5 4 * * *").code == 0
    assert server.asked[-4:] == [f"GET {SCHEDULE}", f"PUT {SCHEDULE}"] * 2
    assert server.requests[-1].headers["if-match"] == '"2"'
    sent = server.requests[-1].body
    assert (sent["cron"], sent["timezone"], sent["paused"]) == ("5 4 * * *", "Europe/Paris", True)


def test_a_change_of_other_members_of_a_trigger_is_kept(gestalt: Gestalt, server: Server) -> None:
    trigger = {"id": "t-1", "match": {"type": "a.b", "source": "s"}, "target": {"plugin": PLUGIN}, "paused": False}
    changes_once(server, TRIGGER, trigger, {**trigger, "match": {"type": "c.d", "source": "s"}})
    assert gestalt("workflow", "triggers", "update", "t-1", "--source", "other").code == 0
    assert server.requests[-1].body["match"] == {"type": "c.d", "source": "other"}


@pytest.mark.parametrize(
    ("options", "after", "text"),
    [
        (("--cron", "5 4 * * *"), {"cron": "1 1 * * *"}, 'its cron from "0 3 * * *" to "1 1 * * *"'),
        (("--timezone", "Asia/Tokyo"), {"timezone": "Europe/Paris"}, 'its timezone from "UTC" to "Europe/Paris"'),
        (("--no-paused",), {"paused": True}, "its paused from false to true"),
        (
            ("--clear-input",),
            {"target": {"plugin": {**PLUGIN, "input": {"b": 2}}}},
            'its input from {"a":1} to {"b":2}',
        ),
        (
            ("-p", "a=2"),
            {"target": {"plugin": {**PLUGIN, "operation": "other"}}},
            'its operation from "doit" to "other"',
        ),
        (("--instance", "i"), {"target": {"agent": {"name": "helper"}}}, 'its plugin from "alpha" to nothing'),
    ],
)
def test_a_change_of_the_same_member_is_told_and_kept(
    gestalt: Gestalt, server: Server, options: tuple[str, ...], after: dict[str, Any], text: str
) -> None:
    changes_once(server, SCHEDULE, schedule(), schedule(**after))
    result = gestalt("workflow", "schedules", "update", "s-1", *options)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        f"error: failed to update workflow schedule s-1: somebody else changed {text} while this command ran; "
        "nothing was written. Run it again to replace that\n"
    )
    assert server.asked.count(f"PUT {SCHEDULE}") == 1


def test_two_who_want_the_same_agree(gestalt: Gestalt, server: Server) -> None:
    changes_once(server, SCHEDULE, schedule(), schedule("5 4 * * *"))
    assert gestalt("workflow", "schedules", "update", "s-1", "--cron", "5 4 * * *").code == 0


def test_an_object_that_never_holds_still_is_given_up(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULE, schedule(), headers={"ETag": '"1"'})
    server.on("PUT", SCHEDULE, CHANGED.body, status=412)
    result = gestalt("workflow", "schedules", "update", "s-1", "--cron", "5 4 * * *")
    assert result.code == 1
    assert f"somebody else changed it {UPDATE_ATTEMPTS} times while this command ran" in result.err
    assert server.asked.count(f"PUT {SCHEDULE}") == UPDATE_ATTEMPTS


def test_another_refusal_is_told_as_it_is(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULE, schedule(), headers={"ETag": '"1"'})
    server.on("PUT", SCHEDULE, {"error": "If-Match needs the capability workflow.revisions"}, status=412)
    result = gestalt("workflow", "schedules", "update", "s-1", "--cron", "5 4 * * *")
    assert "failed to update workflow schedule s-1: If-Match needs the capability" in result.err
    assert server.asked.count(f"PUT {SCHEDULE}") == 1
