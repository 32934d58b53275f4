"""From a source to a release and its archives: where they are, whom tokens reach, who signed (packaging.md 8, 9)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Repository, Source, SourceMode
from gestalt_host.errors import UNTOLD
from gestalt_host.packages.downloads.cache import ArchiveCache
from gestalt_host.packages.downloads.fetcher import Fetcher
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.resolve import Archive, Resolved, SourceContext, archive_for, fetch_archive, resolve
from gestalt_host.packages.signatures import new_key, public_key, sign
from tests.support.rigs.web import Web

BODY = b"an archive"
SHA = hashlib.sha256(BODY).hexdigest()
ADDRESS = "github.com/acme/providers/indexeddb/foo"
HOST = "linux/amd64"


def release(path: str = "archive.tar.gz", sha256: str = SHA, **changes: object) -> str:
    document = {
        "schema": "gestaltd-provider-release",
        "schemaVersion": 1,
        "package": ADDRESS,
        "kind": "indexeddb",
        "version": "1.0.0",
        "runtime": "executable",
        "artifacts": {HOST: {"path": path, "sha256": sha256}},
    }
    return yaml.safe_dump({**document, **changes}, allow_unicode=True)


Versions = dict[str, dict[str, object]]


def index(versions: Versions) -> str:
    """Return an index with one package."""
    listed = {text: {"kind": "indexeddb", "runtime": "executable", **one} for text, one in versions.items()}
    packages = {ADDRESS: {"versions": listed}}
    return yaml.safe_dump({"schema": "gestaltd-provider-index", "schemaVersion": 1, "packages": packages})


async def no_waiting(seconds: float) -> None:
    """Take the place of sleeping."""


class Rig:
    def __init__(self, directory: Path) -> None:
        self.config = directory / "config"
        self.config.mkdir()
        fetcher = Fetcher(ArchiveCache(directory / "cache"), sleep=no_waiting)
        self.context = SourceContext(self.config, fetcher)

    def repositories(self, **urls: str) -> None:
        self.context.repositories = {name: Repository(name, url) for name, url in urls.items()}

    def entry(self, mode: SourceMode, kind: str = "indexeddb", **source: object) -> ProviderEntry:
        return ProviderEntry(kind, "main", Source(mode, **source), Place("gestalt.yaml", 1))  # type: ignore[arg-type]

    def url(self, url: str, token: str = "") -> ProviderEntry:
        return self.entry(SourceMode.URL, url=url, token=token)

    def local(self, path: Path, token: str = "") -> ProviderEntry:
        return self.entry(SourceMode.LOCAL_RELEASE, path=path.resolve(), token=token)

    def package(self, version: str = "", repository: str = "", token: str = "") -> ProviderEntry:
        return self.entry(SourceMode.PACKAGE, package=ADDRESS, version=version, repository=repository, token=token)

    async def had(self, entry: ProviderEntry) -> tuple[Resolved, Path]:
        """Resolve the entry and fetch its archive, as a lock and then a later command do."""
        found = await resolve(entry, self.context)
        archive = archive_for(found.archives, HOST, found.metadata.runtime)
        await fetch_archive(archive, found.source, entry, self.context, fresh=True)
        return found, await fetch_archive(archive, found.source, entry, self.context)


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    one = Rig(tmp_path)
    yield one
    await one.context.fetcher.close()


async def refusal(call: Awaitable[object]) -> str:
    with pytest.raises(PackageInvalid) as failed:
        await call
    assert failed.value.reason != UNTOLD
    return str(failed.value)


# Local metadata -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("archive.tar.gz", "archive.tar.gz"),
        ("./my archive.tar.gz", "my archive.tar.gz"),
        ("what?is#this.tar.gz", "what?is#this.tar.gz"),
        ("../other/archive.tar.gz", "../other/archive.tar.gz"),
        ("$ROOT/other/archive.tar.gz", "../other/archive.tar.gz"),
        ("c:archive.tar.gz", "c:archive.tar.gz"),
    ],
)
async def test_paths_of_local_metadata_are_taken_literally(rig: Rig, path: str, location: str) -> None:
    metadata = rig.config / "dist" / "provider-release.yaml"
    path = path.replace("$ROOT", str(rig.config))
    archive = metadata.parent / path
    for folder in (metadata.parent, archive.parent):
        folder.mkdir(exist_ok=True)
    archive.write_bytes(BODY)
    metadata.write_text(release(path))
    found, file = await rig.had(rig.local(metadata))
    assert found.source == "dist/provider-release.yaml"
    assert found.archives == {HOST: Archive(location, SHA)}
    assert file.read_bytes() == BODY


async def test_local_metadata_may_name_an_archive_elsewhere_which_gets_no_token(rig: Rig, web: Web) -> None:
    metadata = rig.config / "provider-release.yaml"
    metadata.write_text(release(web.url("/my archive.tar.gz")))
    web.put("/my%20archive.tar.gz", BODY)
    found, file = await rig.had(rig.local(metadata, token="t0ken"))
    assert found.archives[HOST].url == web.url("/my%20archive.tar.gz")
    assert file.read_bytes() == BODY
    assert [asked.authorization for asked in web.asked] == [None]


@pytest.mark.parametrize("path", ["file:///etc/passwd", "ftp://h/x", "git+https://h/x"])
async def test_other_schemes_are_refused(rig: Rig, path: str) -> None:
    metadata = rig.config / "provider-release.yaml"
    metadata.write_text(release(path))
    assert "accepted are paths and http and https URLs" in await refusal(resolve(rig.local(metadata), rig.context))


async def test_a_local_archive_is_checked_and_named(rig: Rig) -> None:
    metadata = rig.config / "provider-release.yaml"
    metadata.write_text(release())
    entry = rig.local(metadata)
    assert "no such file" in await refusal(rig.had(entry))
    (rig.config / "archive.tar.gz").write_bytes(b"changed")
    assert f"not {SHA}" in await refusal(rig.had(entry))
    (rig.config / "archive.tar.gz").unlink()
    (rig.config / "archive.tar.gz").mkdir()
    assert "is not a regular file" in await refusal(rig.had(entry))


async def test_a_pipe_in_place_of_metadata_or_archive_is_not_waited_for(rig: Rig) -> None:
    metadata = rig.config / "provider-release.yaml"
    os.mkfifo(metadata)
    assert "is a pipe" in await refusal(resolve(rig.local(metadata), rig.context))
    metadata.unlink()
    metadata.write_text(release())
    os.mkfifo(rig.config / "archive.tar.gz")
    assert "is not a regular file" in await refusal(rig.had(rig.local(metadata)))


async def test_a_local_archive_over_the_limit_is_refused(rig: Rig) -> None:
    metadata = rig.config / "provider-release.yaml"
    metadata.write_text(release())
    with (rig.config / "archive.tar.gz").open("wb") as file:
        file.truncate(512 * 1024 * 1024 + 1)
    assert "has 536870913 bytes; accepted are 536870912" in await refusal(rig.had(rig.local(metadata)))


async def test_missing_metadata_is_named(rig: Rig) -> None:
    path = rig.config / "provider-release.yaml"
    text = await refusal(resolve(rig.local(path), rig.context))
    assert text == f"{path.resolve()}: no such file or directory"


async def test_a_lock_without_digest_is_checked_against_local_metadata(rig: Rig) -> None:
    metadata = rig.config / "provider-release.yaml"
    metadata.write_text(release())
    (rig.config / "archive.tar.gz").write_bytes(BODY)
    entry, source = rig.local(metadata), "provider-release.yaml"
    assert (await fetch_archive(Archive("archive.tar.gz"), source, entry, rig.context)).read_bytes() == BODY
    text = await refusal(fetch_archive(Archive("other.tar.gz"), source, entry, rig.context))
    assert "has no archive other.tar.gz" in text
    (rig.config / "archive.tar.gz").write_bytes(b"changed")
    assert f"not {SHA}" in await refusal(fetch_archive(Archive("archive.tar.gz"), source, entry, rig.context))


async def test_a_digest_in_capitals_is_the_same_digest(rig: Rig) -> None:
    metadata = rig.config / "provider-release.yaml"
    metadata.write_text(release(sha256=f" {SHA.upper()} "))
    (rig.config / "archive.tar.gz").write_bytes(BODY)
    found, _ = await rig.had(rig.local(metadata))
    assert found.archives[HOST].sha256 == SHA


# Remote metadata ------------------------------------------------------------------------------------------------------


async def test_remote_metadata_is_locked_as_it_is_configured_and_its_archive_where_it_is(rig: Rig, web: Web) -> None:
    web.put("/h/provider-release.yaml", release("../a/archive.tar.gz?x=<1>"))
    web.put("/a/archive.tar.gz", BODY)
    url = web.url("/h/provider-release.yaml?download=1")
    found, file = await rig.had(rig.url(url, " t0ken "))
    assert found.source == url
    assert found.archives == {HOST: Archive(web.url("/a/archive.tar.gz?x=<1>"), SHA)}
    assert file.read_bytes() == BODY
    assert {asked.authorization for asked in web.asked} == {"Bearer t0ken"}


async def test_what_is_in_the_cache_is_not_asked_for_again(rig: Rig, web: Web) -> None:
    web.put("/provider-release.yaml", release())
    web.put("/archive.tar.gz", BODY)
    await rig.had(rig.url(web.url("/provider-release.yaml")))
    assert web.paths() == ["/provider-release.yaml", "/archive.tar.gz"]


async def test_the_archive_is_beside_the_configured_url_whatever_it_redirects_to(rig: Rig, web: Web) -> None:
    web.redirect("/here/provider-release.yaml", "/there/provider-release.yaml")
    web.put("/there/provider-release.yaml", release())
    web.put("/here/archive.tar.gz", BODY)
    found, _ = await rig.had(rig.url(web.url("/here/provider-release.yaml")))
    assert found.archives[HOST].url == web.url("/here/archive.tar.gz")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_archive_on_another_origin_gets_no_token(rig: Rig, web: Web, other: Web, host: str) -> None:
    web.put("/provider-release.yaml", release(other.url("/archive.tar.gz", host)))
    other.put("/archive.tar.gz", BODY)
    await rig.had(rig.url(web.url("/provider-release.yaml"), "t0ken"))
    assert [asked.authorization for asked in other.asked] == [None]


async def test_a_lock_file_cannot_send_the_token_elsewhere(rig: Rig, web: Web, other: Web) -> None:
    other.put("/archive.tar.gz", BODY)
    entry = rig.url(web.url("/provider-release.yaml"), "t0ken")
    moved = Archive(other.url("/archive.tar.gz"), SHA)
    await fetch_archive(moved, other.url("/provider-release.yaml"), entry, rig.context)
    assert [asked.authorization for asked in other.asked] == [None]


@pytest.mark.parametrize("path", ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://h/x", "x:y"])
async def test_nothing_that_was_fetched_names_a_file(rig: Rig, web: Web, path: str) -> None:
    web.put("/provider-release.yaml", release(path))
    text = await refusal(resolve(rig.url(web.url("/provider-release.yaml")), rig.context))
    assert "accepted are" in text
    assert "http and https URLs" in text


async def test_nor_does_a_lock_file_for_it(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(BODY)
    archive, source = Archive((tmp_path / "archive").as_uri(), SHA), "https://example.com/provider-release.yaml"
    assert "names the file" in await refusal(fetch_archive(archive, source, rig.url(source), rig.context))


async def test_a_server_elsewhere_cannot_name_an_archive_on_this_machine(rig: Rig, web: Web) -> None:
    archive, source = Archive(web.url("/admin"), SHA), "https://example.com/provider-release.yaml"
    text = await refusal(fetch_archive(archive, source, rig.url(source), rig.context))
    assert "which is this machine" in text
    assert web.asked == []


async def test_an_archive_without_digest_is_refused(rig: Rig, web: Web) -> None:
    entry = rig.url(web.url("/provider-release.yaml"))
    text = await refusal(fetch_archive(Archive(web.url("/a")), entry.source.url, entry, rig.context))
    assert "is no SHA-256 digest" in text


async def test_a_page_in_place_of_metadata_is_named_as_such(rig: Rig, web: Web) -> None:
    web.put("/provider-release.yaml", "<html><title>Log in</title></html>", content_type="text/html")
    text = await refusal(resolve(rig.url(web.url("/provider-release.yaml?sig=hush")), rig.context))
    assert f"{web.url('/provider-release.yaml?***')}: this is an HTML page" in text
    assert "hush" not in text


async def test_metadata_of_another_kind_is_refused(rig: Rig, web: Web) -> None:
    web.put("/provider-release.yaml", release(kind="cache"))
    text = await refusal(resolve(rig.url(web.url("/provider-release.yaml")), rig.context))
    assert "kind is cache, but providers.indexeddb.main needs indexeddb" in text


async def test_metadata_over_the_limit_is_refused(rig: Rig, web: Web) -> None:
    web.put("/provider-release.yaml", b"#" * (4 * 1024 * 1024 + 1))
    text = await refusal(resolve(rig.url(web.url("/provider-release.yaml")), rig.context))
    assert "it has 4194305 bytes; accepted are 4194304" in text


# Platforms ------------------------------------------------------------------------------------------------------------

ONE, TWO = Archive("one", SHA), Archive("two", SHA)


@pytest.mark.parametrize(
    ("archives", "runtime", "found"),
    [
        ({HOST: ONE, "darwin/arm64": TWO}, "executable", ONE),
        ({HOST: ONE, "generic": TWO}, "executable", ONE),
        ({HOST: ONE, "generic": ONE}, "declarative", ONE),
        ({HOST: ONE, "generic": TWO}, "ui", ONE),
        ({"generic": TWO}, "ui", TWO),
        ({"generic": TWO}, "declarative", TWO),
    ],
)
def test_the_exact_platform_goes_before_the_generic_archive(
    archives: dict[str, Archive], runtime: str, found: Archive
) -> None:
    assert archive_for(archives, HOST, runtime) == found


@pytest.mark.parametrize(
    ("archives", "says"),
    [
        ({"darwin/arm64": ONE}, "no archive for platform linux/amd64; there are darwin/arm64"),
        ({"Linux/AMD64": ONE}, "no archive for platform linux/amd64; there are Linux/AMD64"),
        ({}, "there are none"),
        (
            {"generic": ONE},
            "generic release archives are not allowed for an executable; publish an explicit linux/amd64",
        ),
        ({"generic": ONE, HOST: ONE}, "generic release archives are not allowed for an executable"),
    ],
)
def test_without_an_archive_for_the_platform_those_that_there_are_are_named(
    archives: dict[str, Archive], says: str
) -> None:
    with pytest.raises(PackageInvalid, match=says):
        archive_for(archives, HOST, "executable")


# Packages -------------------------------------------------------------------------------------------------------------


def publish(web: Web, versions: Versions) -> None:
    web.put("/provider-index.yaml", index(versions))
    for text, one in versions.items():
        web.put(f"/{str(one['metadata']).removeprefix('/')}", release(version=text))
    web.put("/archive.tar.gz", BODY)


FIRST: Versions = {"1.0.0": {"metadata": "1.yaml"}}
YANKED: Versions = {**FIRST, "1.2.0": {"metadata": "3.yaml", "yanked": True}}


async def test_a_package_is_looked_up_and_locked_at_its_metadata(rig: Rig, web: Web) -> None:
    publish(web, {**YANKED, "1.1.0": {"metadata": "/2.yaml"}})
    rig.repositories(one=web.url("/provider-index.yaml"))
    found, file = await rig.had(rig.package())
    assert (found.metadata.version, found.source) == ("1.1.0", web.url("/2.yaml"))
    assert file.read_bytes() == BODY
    assert (await resolve(rig.package("<1.1"), rig.context)).metadata.version == "1.0.0"
    assert (await resolve(rig.package("1.2.0"), rig.context)).metadata.version == "1.2.0"
    assert web.paths().count("/provider-index.yaml") == 1


async def test_without_a_version_that_fits_those_that_there_are_are_named(rig: Rig, web: Web) -> None:
    publish(web, YANKED)
    rig.repositories(one=web.url("/provider-index.yaml"))
    text = await refusal(resolve(rig.package("^2"), rig.context))
    assert "version '^2' accepts none of 1.0.0, 1.2.0 (yanked)" in text
    assert "version constraint 'newest' cannot be read" in await refusal(resolve(rig.package("newest"), rig.context))


async def test_a_package_in_several_repositories_needs_one_named(rig: Rig, web: Web, other: Web) -> None:
    for server in (web, other):
        publish(server, FIRST)
    rig.repositories(one=web.url("/provider-index.yaml"), two=other.url("/provider-index.yaml"))
    text = await refusal(resolve(rig.package(), rig.context))
    assert (
        text
        == f"package {ADDRESS} is in several repositories: one, two; name one: repo in the source, --repo of a command"
    )
    assert (await resolve(rig.package(repository="two"), rig.context)).source == other.url("/1.yaml")


async def test_a_repository_that_cannot_be_read_is_an_error_where_no_other_has_it(
    rig: Rig, web: Web, other: Web
) -> None:
    publish(web, FIRST)
    other.put("/provider-index.yaml", status=503)
    rig.repositories(down=other.url("/provider-index.yaml"), one=web.url("/provider-index.yaml"))
    assert (await resolve(rig.package(), rig.context)).source == web.url("/1.yaml")
    assert len(other.asked) == 1  # nothing is tried again
    text = await refusal(resolve(rig.package(repository="down"), rig.context))
    assert f"package {ADDRESS} was not found; asked down; repository down: " in text
    assert "unexpected status 503" in text


@pytest.mark.parametrize("broken", ["schema: x", "<html>", ""])
async def test_a_broken_index_counts_as_one_that_cannot_be_read(rig: Rig, web: Web, other: Web, broken: str) -> None:
    publish(web, FIRST)
    other.put("/provider-index.yaml", broken)
    rig.repositories(broken=other.url("/provider-index.yaml"), one=web.url("/provider-index.yaml"))
    assert (await resolve(rig.package(), rig.context)).source == web.url("/1.yaml")
    assert "provider index: " in await refusal(resolve(rig.package(repository="broken"), rig.context))


async def test_an_unknown_repository_or_package_is_named(rig: Rig, web: Web) -> None:
    web.put("/provider-index.yaml", yaml.safe_dump({"schema": "gestaltd-provider-index", "schemaVersion": 1}))
    rig.repositories(one=web.url("/provider-index.yaml"))
    text = await refusal(resolve(rig.package(repository="two"), rig.context))
    assert text == "repository 'two' is not known; there are one"
    assert await refusal(resolve(rig.package(), rig.context)) == f"package {ADDRESS} was not found; asked one"


async def test_an_index_over_the_limit_is_refused(rig: Rig, web: Web) -> None:
    web.put("/provider-index.yaml", b"#" * (10 * 1024 * 1024 + 1))
    rig.repositories(one=web.url("/provider-index.yaml"))
    text = await refusal(resolve(rig.package(), rig.context))
    assert "it has 10485761 bytes; accepted are 10485760" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [({"package": f"{ADDRESS}-2"}, "but the index says"), ({"version": "1.0.1"}, "but the index says 1.0.0")],
)
async def test_metadata_that_is_not_what_the_index_says_is_refused(
    rig: Rig, web: Web, change: dict[str, object], says: str
) -> None:
    publish(web, FIRST)
    web.put("/1.yaml", release(**change))  # type: ignore[arg-type]
    rig.repositories(one=web.url("/provider-index.yaml"))
    assert says in await refusal(resolve(rig.package(), rig.context))


async def test_an_index_on_disk_names_metadata_and_archives_on_disk(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "a mirror"
    (folder / "foo").mkdir(parents=True)
    (folder / "provider-index.yaml").write_text(index({"1.0.0": {"metadata": "foo/provider-release.yaml"}}))
    (folder / "foo" / "provider-release.yaml").write_text(release())
    (folder / "foo" / "archive.tar.gz").write_bytes(BODY)
    rig.repositories(disk=(folder / "provider-index.yaml").as_uri())
    found, file = await rig.had(rig.package())
    assert found.source == (folder / "foo" / "provider-release.yaml").as_uri()
    assert found.archives[HOST].url == (folder / "foo" / "archive.tar.gz").as_uri()
    assert file == folder / "foo" / "archive.tar.gz"


async def test_an_index_on_disk_may_name_metadata_elsewhere(rig: Rig, web: Web, tmp_path: Path) -> None:
    publish(web, FIRST)
    (tmp_path / "provider-index.yaml").write_text(index({"1.0.0": {"metadata": web.url("/1.yaml")}}))
    rig.repositories(disk=(tmp_path / "provider-index.yaml").as_uri())
    found, _ = await rig.had(rig.package())
    assert found.source == web.url("/1.yaml")


async def test_an_index_elsewhere_names_no_file(rig: Rig, web: Web, tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(release())
    web.put("/provider-index.yaml", index({"1.0.0": {"metadata": (tmp_path / "1.yaml").as_uri()}}))
    rig.repositories(one=web.url("/provider-index.yaml"))
    assert "names the file" in await refusal(resolve(rig.package(), rig.context))


def asked_with(web: Web) -> dict[str, str | None]:
    return {asked.path: asked.authorization for asked in web.asked}


async def test_a_repository_s_token_goes_to_its_own_origin_alone(rig: Rig, web: Web, other: Web) -> None:
    publish(other, FIRST)
    web.put("/provider-index.yaml", index({"1.0.0": {"metadata": other.url("/1.yaml")}}))
    rig.context.repositories = {"one": Repository("one", web.url("/provider-index.yaml"), "t0ken")}
    await rig.had(rig.package())
    assert asked_with(web) == {"/provider-index.yaml": "Bearer t0ken"}
    assert asked_with(other) == {"/1.yaml": None, "/archive.tar.gz": None}


async def test_a_repository_s_token_goes_to_what_it_publishes_itself(rig: Rig, web: Web) -> None:
    publish(web, FIRST)
    rig.context.repositories = {"one": Repository("one", web.url("/provider-index.yaml"), "t0ken")}
    await rig.had(rig.package())
    assert set(asked_with(web).values()) == {"Bearer t0ken"}


async def test_the_entry_s_token_goes_before_that_of_the_repository_that_it_names(rig: Rig, web: Web) -> None:
    publish(web, FIRST)
    rig.context.repositories = {"one": Repository("one", web.url("/provider-index.yaml"), "other")}
    await rig.had(rig.package(repository="one", token="t0ken"))
    assert set(asked_with(web).values()) == {"Bearer t0ken"}


async def test_repositories_that_the_entry_does_not_name_get_none_of_its_token(rig: Rig, web: Web, other: Web) -> None:
    publish(web, FIRST)
    rig.repositories(one=web.url("/provider-index.yaml"), two=other.url("/provider-index.yaml"))
    await rig.had(rig.package(token="t0ken"))
    assert asked_with(other) == {"/provider-index.yaml": None}
    assert asked_with(web) == {
        "/provider-index.yaml": None,
        "/1.yaml": "Bearer t0ken",
        "/archive.tar.gz": "Bearer t0ken",
    }


BASIC = "Basic bWU6aHVzaA=="
"""Of ``me:hush``."""


async def test_a_password_in_a_url_reaches_its_server_and_no_lock_file(rig: Rig, web: Web, other: Web) -> None:
    web.put("/provider-release.yaml", release())
    web.put("/archive.tar.gz", BODY)
    url = web.url("/provider-release.yaml")
    entry = rig.url(url.replace("//", "//me:hush@"))
    found = await resolve(entry, rig.context)
    assert (found.source, found.archives) == (url, {HOST: Archive(web.url("/archive.tar.gz"), SHA)})
    await fetch_archive(found.archives[HOST], found.source, entry, rig.context)
    assert asked_with(web) == {"/provider-release.yaml": BASIC, "/archive.tar.gz": BASIC}
    other.put("/archive.tar.gz", BODY)
    moved = Archive(other.url("/archive.tar.gz"), SHA)
    await fetch_archive(moved, found.source, entry, rig.context, fresh=True)
    assert asked_with(other) == {"/archive.tar.gz": None}


async def test_a_password_in_a_repository_s_url_reaches_its_server_and_no_lock_file(rig: Rig, web: Web) -> None:
    publish(web, FIRST)
    rig.repositories(one=web.url("/provider-index.yaml").replace("//", "//me:hush@"))
    found, _ = await rig.had(rig.package())
    assert (found.source, found.archives[HOST].url) == (web.url("/1.yaml"), web.url("/archive.tar.gz"))
    assert asked_with(web) == {"/provider-index.yaml": BASIC, "/1.yaml": BASIC, "/archive.tar.gz": BASIC}


# GitHub ---------------------------------------------------------------------------------------------------------------

TAG = "indexeddb/foo/v1.0.0"


def github(web: Web, other: Web, metadata: str, **more: bytes) -> None:
    """Publish a release whose assets redirect to another server, as GitHub's do."""
    files = {"provider-release.yaml": metadata.encode(), "archive.tar.gz": BODY, **more}
    assets = []
    for number, (name, content) in enumerate(files.items()):
        assets.append({"name": name, "url": web.url(f"/assets/{number}")})
        web.redirect(f"/assets/{number}", other.url(f"/{name}"))
        other.put(f"/{name}", content)
    web.put("/repos/Acme/prov/releases/tags/indexeddb%2Ffoo%2Fv1.0.0", json.dumps({"assets": assets}))


async def test_a_release_on_github_is_had_by_its_assets(rig: Rig, web: Web, other: Web) -> None:
    github(web, other, release("some/folder/archive.tar.gz"))
    rig.context.github_api = web.url("")
    entry = rig.entry(SourceMode.GITHUB_RELEASE, github=("Acme/prov", TAG, "provider-release.yaml"), token="t0ken")
    found, file = await rig.had(entry)
    assert found.source == (
        "github-release://github.com/Acme/prov?asset=provider-release.yaml&tag=indexeddb%2Ffoo%2Fv1.0.0"
    )
    assert found.archives[HOST].url == found.source.replace("provider-release.yaml", "archive.tar.gz")
    assert file.read_bytes() == BODY
    assert {asked.authorization for asked in web.asked} == {"Bearer t0ken"}
    assert {asked.authorization for asked in other.asked} == {None}
    assert web.asked[0].headers["accept"] == "application/vnd.github+json"
    assert web.asked[1].headers["accept"] == "application/octet-stream"
    assert len(web.asked) == 4  # the archive was in the cache the second time


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"assets": []}', f"the release {TAG} of Acme/prov has no asset provider-release.yaml; there are none"),
        ('{"assets": [{"name": "x", "url": "https://h/x"}]}', "there are x"),
        ("[]", "is not the description of a release"),
        ("[" * 100_000, "is not the description of a release"),
        ('{"assets": [{"name": "provider-release.yaml", "url": "file:///etc/passwd"}]}', "is none of http or https"),
    ],
)
async def test_what_github_does_not_have_is_named(rig: Rig, web: Web, answer: str, says: str) -> None:
    web.put("/repos/Acme/prov/releases/tags/indexeddb%2Ffoo%2Fv1.0.0", answer)
    rig.context.github_api = web.url("")
    entry = rig.entry(SourceMode.GITHUB_RELEASE, github=("Acme/prov", TAG, "provider-release.yaml"))
    assert says in await refusal(resolve(entry, rig.context))


# Signatures -----------------------------------------------------------------------------------------------------------

PRIVATE = new_key()
KEYS = {"acme": public_key(PRIVATE)}


@dataclasses.dataclass(frozen=True)
class Signed:
    """What lies beside the metadata, what is pinned, and what comes of it: the name of a key, or an error."""

    signature: bytes | None
    outcome: str
    keys: dict[str, str] = dataclasses.field(default_factory=lambda: KEYS)
    required: bool = False


DATA = release().encode()
BY_ACME, BY_OTHER, OF_OTHER = (
    text.encode() for text in (sign(DATA, PRIVATE), sign(DATA, new_key()), sign(b"x", PRIVATE))
)
SIGNED = {
    "signed": Signed(BY_ACME, "acme"),
    "signed, required": Signed(BY_ACME, "acme", required=True),
    "signed, nothing pinned": Signed(BY_ACME, "", keys={}),
    "unsigned": Signed(None, ""),
    "unsigned, required": Signed(None, "is not signed", required=True),
    "by another key": Signed(BY_OTHER, ""),
    "by another key, required": Signed(BY_OTHER, "signed by no key of providerKeys; pinned are acme", required=True),
    "nothing pinned, required": Signed(BY_ACME, "signed by no key of providerKeys; pinned are none", {}, required=True),
    "of other data": Signed(OF_OTHER, "signature"),
    "of other data, required": Signed(OF_OTHER, "signature", required=True),
    "rubbish": Signed(b"\xff\x00", "signature"),
    "too large": Signed(b"#" * 100_000, "accepted are"),
    "a page in its place": Signed(b"<html>not found</html>", ""),
}


def check_signed(case: Signed, outcome: str) -> None:
    if " " in case.outcome or case.outcome == "signature":
        assert case.outcome in outcome
    else:
        assert outcome == f"signed by {case.outcome!r}"


async def outcome_of(entry: ProviderEntry, case: Signed, rig: Rig) -> str:
    rig.context.keys = case.keys
    entry = dataclasses.replace(entry, verify="required" if case.required else "")
    try:
        return f"signed by {(await resolve(entry, rig.context)).signed_by!r}"
    except PackageInvalid as error:
        return str(error)


@pytest.mark.parametrize("name", SIGNED)
async def test_a_signature_of_remote_metadata_is_checked(rig: Rig, web: Web, name: str) -> None:
    case = SIGNED[name]
    web.put("/provider-release.yaml", DATA)
    if case.signature is not None:
        web.put("/provider-release.yaml.sig", case.signature)
    entry = rig.url(web.url("/provider-release.yaml?x=1"))
    check_signed(case, await outcome_of(entry, case, rig))
    asked = ["/provider-release.yaml?x=1"] + ["/provider-release.yaml.sig?x=1"] * bool(case.keys or case.required)
    assert web.paths() == asked


@pytest.mark.parametrize("name", SIGNED)
async def test_a_signature_of_local_metadata_is_checked(rig: Rig, name: str) -> None:
    case = SIGNED[name]
    metadata = rig.config / "provider-release.yaml"
    metadata.write_bytes(DATA)
    if case.signature is not None:
        metadata.with_name("provider-release.yaml.sig").write_bytes(case.signature)
    check_signed(case, await outcome_of(rig.local(metadata), case, rig))


@pytest.mark.parametrize("name", ["signed, required", "unsigned, required", "unsigned"])
async def test_a_signature_on_github_is_another_asset(rig: Rig, web: Web, other: Web, name: str) -> None:
    case = SIGNED[name]
    github(web, other, release(), **({} if case.signature is None else {"provider-release.yaml.sig": case.signature}))
    rig.context.github_api = web.url("")
    entry = rig.entry(SourceMode.GITHUB_RELEASE, github=("Acme/prov", TAG, "provider-release.yaml"))
    check_signed(case, await outcome_of(entry, case, rig))


async def test_a_signature_that_cannot_be_had_now_is_no_missing_one(rig: Rig, web: Web) -> None:
    web.put("/provider-release.yaml", DATA)
    web.put("/provider-release.yaml.sig", status=503)
    rig.context.keys = KEYS
    text = await refusal(resolve(rig.url(web.url("/provider-release.yaml")), rig.context))
    assert "unexpected status 503" in text


async def test_one_changed_byte_breaks_the_signature(rig: Rig, web: Web) -> None:
    web.put("/provider-release.yaml", DATA.replace(b"schemaVersion: 1", b"schemaVersion:  1"))
    web.put("/provider-release.yaml.sig", BY_ACME)
    rig.context.keys = KEYS
    await refusal(resolve(rig.url(web.url("/provider-release.yaml")), rig.context))
