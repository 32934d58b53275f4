"""What pages of other origins can do to a server on their user's machine: nothing (decision 21)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from gestalt_host.http.app import create_app
from gestalt_host.http.listener import Listener
from gestalt_host.http.origins import AllowedHosts
from gestalt_host.packages.catalogue import CatalogueOperation
from tests.support.fakes.host import FakeHost, fake_host, rig_plugin

EVENTS = "/api/v1/workflow/events"
SCHEDULES = "/api/v1/workflow/schedules"
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@pytest.fixture
async def host() -> AsyncIterator[FakeHost]:
    found = fake_host(rig_plugin("crm", CatalogueOperation("list", "GET", title="List", read_only=True)))
    yield found
    await found.manager.close()


@pytest.fixture
async def client(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a listener without authentication and without ``server.baseUrl``."""
    services = replace(host.services(base_url=""), hosts=AllowedHosts(("gestalt.internal",)))
    async with Listener(create_app(services), "127.0.0.1", 0) as listener:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as found:
            yield found


def own_origin(client: httpx.AsyncClient) -> str:
    return str(client.base_url).rstrip("/")


def assert_refused(answer: httpx.Response, *words: str) -> None:
    assert answer.status_code == 403, answer.text
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json().values()
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://{own}",
        "http://localhost:{port}",
    ],
)
async def test_a_page_of_another_origin_changes_and_reads_nothing(
    origin: str, client: httpx.AsyncClient, host: FakeHost
) -> None:
    url, seen = client.base_url, len(host.manager.state.seen)
    headers = {"Origin": origin.format(own=f"{url.host}:{url.port}", port=url.port), "Content-Type": "text/plain"}
    assert_refused(
        await client.post(EVENTS, content=b'{"type": "x", "source": "y"}', headers=headers), own_origin(client)
    )
    assert_refused(await client.get(SCHEDULES, headers=headers))
    assert_refused(await client.options(SCHEDULES, headers=headers))
    assert_refused(await client.get("/metrics", headers=headers))
    assert len(host.manager.state.seen) == seen


async def test_two_origins_are_not_the_own_one(client: httpx.AsyncClient) -> None:
    own = own_origin(client)
    assert_refused(await client.get(SCHEDULES, headers=[("Origin", own), ("Origin", own)]))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Same-Origin", ""])
async def test_a_browser_that_says_another_site_asks_is_believed(site: str, client: httpx.AsyncClient) -> None:
    image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert_refused(await client.get("/api/v1/slack/sync", headers=image), "Sec-Fetch-Site", site)


async def test_the_own_page_and_programs_are_served(client: httpx.AsyncClient) -> None:
    event = {"type": "x", "source": "y"}
    own = {**OWN_PAGE, "Origin": own_origin(client)}
    assert (await client.post(EVENTS, json=event, headers=own)).status_code == 202
    assert (await client.post(EVENTS, json=event)).status_code == 202
    typed = {**LINK, "Sec-Fetch-Site": "none"}
    assert (await client.get(SCHEDULES, headers=typed)).status_code == 200
    assert (await client.get("/api/v1/slack/sync")).status_code == 200


async def test_health_is_told_to_anybody(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/ready"):
        headers = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await client.get(path, headers=headers)).status_code == 200


async def test_a_link_opens_pages_and_the_ways_back_of_a_sign_in_and_nothing_else(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers=LINK)).status_code == 404
    assert (await client.get("/api/v1/auth/login/callback?code=1", headers=LINK)).json() == {
        "error": "auth is disabled"
    }
    assert (await client.get("/api/v1/auth/login", headers=LINK)).json() == {"error": "auth is disabled"}
    assert (await client.get("/api/v1/auth/callback", headers=LINK)).status_code == 404
    assert_refused(await client.get(SCHEDULES, headers=LINK))
    assert_refused(await client.get("/api/v1/slack/sync", headers=LINK))
    assert_refused(await client.post("/", headers=LINK))
    assert_refused(await client.get("/", headers={**LINK, "Sec-Fetch-Dest": "iframe"}))
    assert_refused(await client.get("/", headers={**LINK, "Sec-Fetch-Mode": "no-cors"}))


async def test_with_a_base_url_its_origin_alone_is_the_own_one(host: FakeHost) -> None:
    async with Listener(
        create_app(host.services(base_url="https://Gestalt.Example:443/console")), "127.0.0.1", 0
    ) as it:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{it.port}") as client:
            good = await client.get(SCHEDULES, headers={"Origin": "https://gestalt.example"})
            assert good.status_code == 200
            assert_refused(
                await client.get(SCHEDULES, headers={"Origin": own_origin(client)}),
                own_origin(client),
                '"https://gestalt.example"',
                "server.baseUrl",
            )


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "10.0.0.1",
        "[::2]",
        "[::1]evil.example",
        "127.0.0.1%evil.example",
    ],
)
async def test_a_name_that_was_made_to_lead_here_is_not_answered_to(name: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(SCHEDULES, headers={"Host": name.format(port=client.base_url.port)})
    assert_refused(answer, name.partition(":{")[0], "server.public.allowedHosts", "server.baseUrl")
    assert_refused(await client.get("/health", headers={"Host": name.format(port=client.base_url.port)}))


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LOCALHOST:8080", "localhost.", "x.localhost", "127.0.0.1", "127.3.2.1:9", "[::1]:8080"),
        *("[::ffff:127.0.0.1]", "gestalt.internal", "Gestalt.Internal:8080", ""),
    ],
)
async def test_loopback_names_addresses_and_listed_hosts_are_answered_to(name: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(SCHEDULES, headers={"Host": name})).status_code == 200


def test_the_address_that_a_connection_came_in_on_is_answered_to() -> None:
    hosts = AllowedHosts()
    assert hosts.allows("192.168.1.5:8080", "192.168.1.5")
    assert hosts.allows("192.168.1.5", "::ffff:192.168.1.5")
    assert hosts.allows("[fe80::1]:8080", "fe80::1%eth0")
    assert not hosts.allows("192.168.1.6", "192.168.1.5")
    assert not hosts.allows("192.168.1.5.evil.example", "192.168.1.5")


async def test_a_listener_of_its_own_for_management_answers_to_any_host(host: FakeHost) -> None:
    async with Listener(create_app(host.services(base_url="")), "127.0.0.1", 0) as listener:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as client:
            assert (await client.get("/ready", headers={"Host": "evil.example"})).status_code == 200


async def test_a_browser_runs_by_get_only_what_is_marked_as_read_only(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    own = {**OWN_PAGE, "Origin": own_origin(client)}
    answer = await client.get("/api/v1/slack/sync", headers=own)
    assert_refused(answer, '"sync"', '"slack"', "read-only", "POST")
    assert host.runner("slack").seen == []
    assert (await client.get("/api/v1/crm/list", headers=own)).status_code == 200
    assert (await client.post("/api/v1/slack/sync", json={}, headers=own)).status_code == 200
    assert (await client.get("/api/v1/slack/nothing", headers=own)).status_code == 404
