"""Each rule of the sections that the workflow system needs, by the message that its breach gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from gestalt_host.config import ConfigurationInvalid, require_serveable
from gestalt_host.config.model import IndexedDBBinding, SourceMode, SupervisionConfig
from gestalt_host.config.reader import parse_config_duration
from gestalt_sdk.timing.durations import DurationInvalid, parse_duration
from tests.support.rigs.config import MINIMAL, Loader

Faults = Callable[..., list[str]]

ONE_FAULT = [
    # apiVersion
    ("apiVersion: gestaltd.config/v4", 'apiVersion: unsupported apiVersion "gestaltd.config/v4"; supported value is'),
    ("apiVersion: ''", 'apiVersion: apiVersion is required; supported value is "gestaltd.config/v5"'),
    # server
    ("server: {pubic: {}}", "server.pubic: unknown key; did you mean 'public'?"),
    ("server: {public: {port: 70000}}", "server.public.port: 70000 is out of range; accepted are integers from 1 to"),
    ("server: {public: []}", "server.public: must be a mapping, not a list"),
    (
        "server: {public: {allowedHosts: [gestalt.internal, 'http://10.0.0.1:8080']}}",
        "server.public.allowedHosts[1]: 'http://10.0.0.1:8080' is not a host; accepted are names and addresses without",
    ),
    ("server: {public: {allowedHosts: [a, a]}}", "server.public.allowedHosts[1]: 'a' is a duplicate"),
    ("server: {public: {maxConnections: 3}}", "server.public.maxConnections: 3 is out of range; accepted are integers"),
    ("server: {baseUrl: example.com}", "server.baseUrl: must be an absolute http or https URL"),
    ("server: {baseUrl: 'http://[::1'}", "server.baseUrl: must be an absolute http or https URL"),
    ("server: {baseUrl: 'http://h:bad'}", "server.baseUrl: must be an absolute http or https URL"),
    ("server: {management: {port: 9, baseUrl: 'http://[x'}}", "server.management.baseUrl: must be an absolute http"),
    (
        'server: {apiTokenTtl: " 5m "}',
        "server.apiTokenTtl: ' 5m ' is not a duration; accepted are positive ones such as",
    ),
    ('server: {apiTokenTtl: " "}', "server.apiTokenTtl: ' ' is not a duration; accepted are positive ones such as"),
    (
        "server: {supervision: {restartSilentAfter: ' never '}}",
        "server.supervision.restartSilentAfter: ' never ' is not a duration; accepted are positive ones such as",
    ),
    (
        "providerRepositories: {Bad Name: {url: 'https://a.example'}}",
        "providerRepositories.Bad Name: 'Bad Name' is not",
    ),
    (
        "providerRepositories: {-x: {url: 'https://a.example'}}",
        "providerRepositories.-x: '-x' is not a repository name",
    ),
    ("server: {apiTokenTtl: 3x}", "server.apiTokenTtl: '3x' is not a duration; accepted are positive ones such as"),
    (
        "server: {supervision: {startTimeout: 3}}",
        "server.supervision.startTimeout: '3' is not a duration; accepted are",
    ),
    (
        "server: {supervision: {slowStartAfter: 0s}}",
        "server.supervision.slowStartAfter: '0s' is not a duration; accepted",
    ),
    (
        "server: {supervision: {shutdownTimeout: -1s}}",
        "server.supervision.shutdownTimeout: '-1s' is not a duration; acc",
    ),
    (
        "server: {supervision: {restartSilentAfter: 4s}}",
        "server.supervision.restartSilentAfter: '4s' is too short; accepted are durations of at least 5s, and never",
    ),
    (
        "plugins: {p: {source: ./m.yaml, limits: {memory: 512MB}}}",
        "plugins.p.limits.memory: '512MB' is not a size that can be taken; accepted are whole numbers with",
    ),
    (
        "plugins: {p: {source: ./m.yaml, limits: {memory: 1MiB}}}",
        "plugins.p.limits.memory: '1MiB' is not a size that can be taken; accepted are whole numbers",
    ),
    (
        "plugins: {p: {source: ./m.yaml, limits: {memory: 536870912}}}",
        "plugins.p.limits.memory: '536870912' is not a size that can be taken; accepted",
    ),
    (
        "plugins: {p: {source: ./m.yaml, limits: {memory: 9999999999999GiB}}}",
        "plugins.p.limits.memory: '9999999999999GiB' is not a size that can be taken; accepted",
    ),
    ("plugins: {p: {source: ./m.yaml, limits: 512MiB}}", "plugins.p.limits: must be a mapping"),
    ("plugins: {p: {source: ./m.yaml, limits: {mem: 512MiB}}}", "plugins.p.limits.mem: unknown key; did you mean"),
    ("server: {supervision: {restartAfter: 4s}}", "server.supervision.restartAfter: unknown key; did you mean"),
    ("server: {management: {host: 127.0.0.1}}", "server.management.port: is required"),
    ("server: {egress: {defaultAction: drop}}", "server.egress.defaultAction: 'drop' is not supported; accepted are"),
    ("server: {runtime: {defaultHostedProvider: x}}", "server.runtime.defaultHostedProvider: is no longer supported"),
    (
        "server: {providerOutput: {bytesPerSecond: 0}}",
        "server.providerOutput.bytesPerSecond: 0 is out of range; accepted are integers from 1024 to 1073741824",
    ),
    (
        "server: {providerOutput: {burstBytes: 1000}}",
        "server.providerOutput.burstBytes: 1000 is out of range; accepted are integers from 131072 to 1073741824",
    ),
    (
        "server: {providerOutput: {lineBytes: 70000}}",
        "server.providerOutput.lineBytes: 70000 is out of range; accepted are integers from 256 to 65536",
    ),
    ("server: {providerOutput: {lineBytes: 4k}}", "server.providerOutput.lineBytes: must be an integer, not"),
    ("server: {providerOutput: {bytes: 1}}", "server.providerOutput.bytes: unknown key; "),
    ("server: {providers: {workflow: x}}", "server.providers.workflow: unknown key"),
    ("server: {providers: {indexeddb: x}}", 'server.providers.indexeddb: references unknown indexeddb "x"; configured'),
    # authorization
    ("authorization: {policies: {p: {default: maybe}}}", "authorization.policies.p.default: 'maybe' is not supported"),
    (
        "authorization: {policies: {p: {members: [{subjectID: a, role: r}, {subjectID: ' a ', role: s}]}}}",
        "authorization.policies.p.members[1].subjectID: 'a' is a duplicate",
    ),
    ("authorization: {policies: {p: {members: [{role: r}]}}}", "members[0].subjectID: is required"),
    # sources
    ("plugins: {p: {config: {}}}", 'plugins.p.source: plugins "p" source.path or provider-release metadata URL'),
    ("plugins: {p: {source: git+ssh://x}}", "plugins.p.source: git+ sources are not supported"),
    ("plugins: {p: {source: 'ftp://x/y'}}", "remote sources must be release-metadata URLs"),
    ("plugins: {p: {source: 'http://[::1/x'}}", "remote sources must be release-metadata URLs"),
    ("plugins: {p: {source: 'http://h:bad/x'}}", "remote sources must be release-metadata URLs"),
    ("plugins: {p: {source: 'http://h:99999/x'}}", "remote sources must be release-metadata URLs"),
    ("plugins: {p: {source: 'http://a b/x'}}", "remote sources must be release-metadata URLs"),
    ("plugins: {p: {source: 'https://:80/x'}}", "remote sources must be release-metadata URLs"),
    ("plugins: {p: {source: {url: 'http://[::1/x'}}}", "plugins.p.source.url: must be an absolute http or https URL"),
    ("plugins: {p: {source: {url: 'http://h:0/x'}}}", "plugins.p.source.url: must be an absolute http or https URL"),
    ("plugins: {p: {source: {}}}", "source.path or provider-release metadata URL is required"),
    ("plugins: {p: {source: {package: a/b}}}", "plugins.p.source.package: 'a/b' is not a package address"),
    ("plugins: {p: {source: {githubRelease: {repo: a/b, tag: t}}}}", "githubRelease.asset: is required"),
    ("plugins: {p: {source: {path: m.yaml, auth: {token: x}}}}", "plugins.p.source.auth: is not allowed with path"),
    ("plugins: {p: {source: {url: 'x'}}}", "plugins.p.source.url: must be an absolute http or https URL"),
    # entries
    ("plugins: {p: null}", "plugins.p: is required"),
    ("plugins: {'../p': {source: m.yaml}}", "plugins.../p: '../p' cannot be a name"),
    ("plugins: {p: {source: m.yaml, config: [1]}}", "plugins.p.config: must be a mapping"),
    (
        "plugins: {p: {source: m.yaml, config: {guild: [123456789012345678]}}}",
        "plugins.p.config.guild[0]: is an integer that no double holds, so another one would arrive; write it as text",
    ),
    ("plugins: {p: {source: m.yaml, default: true}}", "plugins.p.default: is not allowed on plugins entries"),
    ("plugins: {p: {source: m.yaml, execution: {}}}", "plugins.p.execution: is no longer supported; use runtime"),
    ("plugins: {p: {source: m.yaml, allowedOperations: {}}}", "plugins.p.allowedOperations: must name at least one"),
    (
        "plugins: {p: {source: m.yaml, allowedOperations: {a: {alias: x}, b: {alias: x}}}}",
        "plugins.p.allowedOperations.b.alias: 'x' is already the name of 'a'",
    ),
    ("plugins: {p: {source: m.yaml, authorizationPolicy: x}}", "authorizationPolicy: references unknown policy 'x'"),
    ("plugins: {p: {source: m.yaml, invokes: [{plugin: p}]}}", "exactly one of operation and surface is required"),
    ("plugins: {p: {source: m.yaml, invokes: [{plugin: q, operation: o}]}}", 'references unknown plugin "q"'),
    (
        "plugins: {p: {source: m.yaml, invokes: [{plugin: p, operation: o}, {plugin: p, operation: o}]}}",
        "plugins.p.invokes[1]: p.o is a duplicate",
    ),
    ("providers: {workflow: {w: {source: m.yaml, invokes: [{}]}}}", "invokes: is not allowed on workflow entries"),
    ("providers: {workflow: {w: {source: m.yaml, cache: {}}}}", "providers.workflow.w.cache: is not allowed"),
    ("providers: {indexeddb: {i: {source: m.yaml, indexeddb: i}}}", "indexeddb: is not allowed on indexeddb entries"),
    ("providers: {workflows: {}}", "providers.workflows: unknown key; did you mean 'workflow'?"),
    # bindings
    ("providers: {workflow: {w: {source: m.yaml, indexeddb: {db: x}}}}", "workflow.w.indexeddb.provider: is required"),
    ("providers: {workflow: {w: {source: m.yaml, indexeddb: m}}}", 'references unknown indexeddb "m"'),
    ("plugins: {p: {source: m.yaml, indexeddb: {db: x}}}", "plugins.p.indexeddb.provider: is required"),
    # selection
    (
        "providers: {indexeddb: {a: {source: m.yaml}, b: {source: m.yaml}}}",
        "providers.indexeddb: has multiple providers but no selection or default: a, b",
    ),
    (
        "providers: {workflow: {b: {source: m.yaml, default: true}, a: {source: m.yaml, default: true}}}",
        "providers.workflow: declares multiple defaults: a, b",
    ),
    # connections
    (
        "connections: {c: {mode: some}}",
        "connections.c.mode: 'some' is not supported; accepted are none, platform, user",
    ),
    ("connections: {'a b': {}}", "'a b' cannot name a connection"),
    ("plugins: {p: {source: m.yaml, connections: {c: {ref: x}}}}", "references unknown connection 'x'"),
    (
        "connections: {x: {auth: {type: oauth2}}}\n"
        "plugins: {p: {source: m.yaml, connections: {c: {ref: x, exposure: internal}}}}",
        "'internal' is invalid for a connection with user credentials",
    ),
    (
        "plugins: {p: {source: m.yaml, connections: {c: {auth: {type: bearer}}}}}",
        "an inline connection may not hold a user's credentials",
    ),
]


@pytest.mark.parametrize(("text", "expected"), ONE_FAULT, ids=[row[1].split(":")[0] for row in ONE_FAULT])
def test_a_breach_gives_one_fault_that_names_it(faults: Faults, text: str, expected: str) -> None:
    found = faults(text)
    assert len(found) == 1, found
    assert expected in found[0]
    assert found[0].startswith("a.yaml:")


def test_all_faults_are_reported_at_once_in_the_order_of_the_text(faults: Faults) -> None:
    found = faults(
        """
        server:
          public: {port: x}
          encryptionKy: k
        plugins:
          p: {source: git+x, nonsense: 1}
        workflows:
          schedules:
            s: {cron: "* *", target: {plugin: {name: q, operation: ""}}}
        """
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "a.yaml:2",
        "a.yaml:3",
        *["a.yaml:5"] * 2,
        *["a.yaml:8"] * 4,
    ]


def test_secret_texts_are_not_shown_in_faults(faults: Faults) -> None:
    (found,) = faults("server: {public: hunter2}")
    assert "hunter2" not in found


def test_the_api_version_may_be_absent(loaded: Loader) -> None:
    assert loaded("server: {}").server.public.port == 8080
    assert loaded("apiVersion: gestaltd.config/v5").plugins == {}


def test_defaults_and_bindings(loaded: Loader) -> None:
    config = loaded(MINIMAL + "  other: {source: ./o.yaml, indexeddb: {db: shared, objectStores: [a, b]}}")
    assert config.indexeddb == "main"
    assert config.workflow == "local"
    assert config.plugins["echo"].indexeddb == IndexedDBBinding("main", "echo")
    assert config.plugins["other"].indexeddb == IndexedDBBinding("main", "shared", ("a", "b"))
    assert config.providers["workflow"]["local"].indexeddb == IndexedDBBinding("main", "wf")


def test_a_workflow_provider_without_a_block_has_no_store(loaded: Loader) -> None:
    config = loaded(
        """
        providers:
          indexeddb: {main: {source: m.yaml}}
          workflow: {w: {source: m.yaml}, x: {source: m.yaml, indexeddb: main}}
        """
    )
    assert config.providers["workflow"]["w"].indexeddb is None
    assert config.providers["workflow"]["x"].indexeddb == IndexedDBBinding("main", "x")
    assert config.workflow == ""  # two, and none of them the default


ONE_DATABASE = """
server: {encryptionKey: k}
providers:
  indexeddb:
    main: {source: m.yaml, default: true}
    other: {source: m.yaml}
  workflow:
    a:
      source: m.yaml
      indexeddb: {provider: main, db: b}
    b:
      source: m.yaml
      indexeddb: main
    c:
      source: m.yaml
      indexeddb: {provider: other, db: b}
    d:
      source: m.yaml
      indexeddb: {provider: main, db: d}
plugins:
  p: {source: m.yaml, indexeddb: {provider: main, db: b}}
  q: {source: m.yaml, indexeddb: {provider: main, db: b}}
"""


@pytest.mark.parametrize("static", [False, True])
def test_two_workflow_providers_on_one_database_are_refused(faults: Callable[..., list[str]], static: bool) -> None:
    """Each would delete the other's configured objects. Plugins may share one, also with a workflow provider."""
    assert faults(ONE_DATABASE, static=static) == [
        'a.yaml:10: providers.workflow.b.indexeddb: database "b" of indexeddb "main" is that of providers.workflow.a '
        "already; a workflow provider needs a database of its own, so give one of them another db"
    ]


ONE_SERVER = """
providers:
  indexeddb:
    one: {{source: m.yaml, default: true, config: {{dsn: "{one}"}}}}
    two: {{source: m.yaml, config: {{dsn: "{two}"}}}}
  workflow:
    a: {{source: m.yaml, indexeddb: {{provider: one, db: w}}}}
    b: {{source: m.yaml, indexeddb: {{provider: two, db: {db}}}}}
"""


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("postgresql://u:secret@db.example/gestalt", "postgresql://u:secret@db.example/gestalt"),
        ("postgresql://u:secret@db.example/gestalt", "postgres://v@DB.example:5432/gestalt?sslmode=require"),
    ],
)
def test_two_entries_of_one_postgresql_database_are_one(
    faults: Callable[..., list[str]], static: bool, one: str, two: str
) -> None:
    (text,) = faults(ONE_SERVER.format(one=one, two=two, db="w"), static=static)
    assert text.endswith(
        'providers.workflow.b.indexeddb: database "w" of indexeddb "two" is that of providers.workflow.a already, '
        'through indexeddb "one" with the same dsn; a workflow provider needs a database of its own, so give one of '
        "them another db"
    )
    assert "secret" not in text


@pytest.mark.parametrize(
    ("one", "two", "db"),
    [
        ("postgresql://db.example/gestalt", "postgresql://db.example/gestalt", "v"),
        ("postgresql://db.example/gestalt", "postgresql://db.example/other", "w"),
        ("postgresql://db.example/gestalt", "postgresql://db2.example/gestalt", "w"),
        ("postgresql://db.example/gestalt", "postgresql://db.example:5433/gestalt", "w"),
        ("postgresql://db.example:port/gestalt", "postgresql://db.example:port/gestalt", "w"),
        ("${ONE_DSN}", "${TWO_DSN}", "w"),
        ("postgresql://${ONE_HOST}/gestalt", "postgresql://${TWO_HOST}/gestalt", "w"),
        ("postgresql://db.example/${ONE_DB}", "postgresql://db.example/${TWO_DB}", "w"),
    ],
)
def test_databases_that_are_not_known_to_be_one_are_accepted(loaded: Loader, one: str, two: str, db: str) -> None:
    config = loaded(ONE_SERVER.format(one=one, two=two, db=db), static=True)
    assert set(config.providers["workflow"]) == {"a", "b"}


def test_the_forms_of_a_source(loaded: Loader) -> None:
    config = loaded(
        """
        plugins:
          a: {source: {builtin: slack}}
          b: {source: HTTPS://example.com/provider-release.yaml}
          c: {source: ./dist/provider-release.yaml}
          d: {source: {package: example.com/o/r/p, version: ^1.0}}
          e: {source: {githubRelease: {repo: o/r, tag: v1, asset: a.yaml}, auth: {token: t}}}
          f: {source: name:manifest.yaml}
        """
    )
    modes = {name: entry.source.mode for name, entry in config.plugins.items()}
    assert modes == {
        "a": SourceMode.BUILTIN,
        "b": SourceMode.URL,
        "c": SourceMode.LOCAL_RELEASE,
        "d": SourceMode.PACKAGE,
        "e": SourceMode.GITHUB_RELEASE,
        "f": SourceMode.MANIFEST,
    }
    assert config.plugins["e"].source.token == "t"
    assert "'t'" not in repr(config)
    require_serveable(loaded(MINIMAL, "plugins: {echo: {source: https://example.com/provider-release.yaml}}"))


def test_connections_take_their_mode_from_the_shared_definition(loaded: Loader) -> None:
    config = loaded(
        """
        connections:
          open: {}
          mine: {auth: {type: oauth2}}
          ours: {mode: platform, auth: {type: bearer, token: t}}
        plugins:
          p:
            source: m.yaml
            connections:
              a: {ref: open}
              b: {ref: mine, displayName: B}
              c: {ref: ours, exposure: internal}
              d: {}
              e: {mode: none}
        """
    )
    connections = config.plugins["p"].connections
    assert {name: connection.mode for name, connection in connections.items()} == {
        "a": "none",
        "b": "user",
        "c": "platform",
        "d": None,
        "e": "none",
    }
    assert connections["c"].token == "t"
    assert connections["c"].exposure == "internal"
    assert config.unprovided == ()


def test_policies(loaded: Loader) -> None:
    config = loaded(
        """
        authorization: {policies: {ops: {default: deny, members: [{subjectID: user:a, role: admin}]}}}
        plugins: {p: {source: m.yaml, authorizationPolicy: ops}}
        """
    )
    assert config.policies["ops"].members == {"user:a": "admin"}
    assert config.policies["ops"].default == "deny"
    assert config.plugins["p"].authorization_policy == "ops"


UNPROVIDED = [
    ("providers: {authentication: {a: {source: m.yaml}}}", "providers.authentication.a"),
    ("providers: {cache: {a: {source: m.yaml}}}", "providers.cache.a"),
    ("providers: {agent: {a: {source: m.yaml}}}", "providers.agent.a"),
    ("providers: {externalCredentials: {a: {source: m.yaml}}}", "providers.externalCredentials.a"),
    ("providers: {telemetry: {a: {source: otlp}}}", "providers.telemetry.a.source"),
    ("providers: {audit: {a: {source: stdout}}}", "providers.audit.a.source"),
    ("providers: {secrets: {a: {source: m.yaml}}}", "providers.secrets.a.source"),
    ("providers: {ui: {a: {source: m.yaml, path: /}}}", "providers.ui.a"),
    ("runtime: {providers: {a: {driver: local}}}", "runtime.providers.a"),
    ("server: {management: {port: 9090}}", "server.management"),
    ("server: {admin: {allowedRoles: [admin]}}", "server.admin.allowedRoles"),
    (
        "providers: {workflow: {w: {source: m.yaml, egress: {allowedHosts: [x.org]}}}}",
        "providers.workflow.w.egress.allowedHosts",
    ),
    ("plugins: {p: {source: m.yaml, surfaces: {openapi: {baseUrl: 'http://x'}}}}", "plugins.p.surfaces.openapi"),
    ("plugins: {p: {source: m.yaml, surfaces: {graphql: {url: 'http://x'}}}}", "plugins.p.surfaces.graphql"),
    ("plugins: {p: {source: m.yaml, surfaces: {mcp: {url: 'http://x'}}}}", "plugins.p.surfaces.mcp"),
    ("plugins: {p: {source: m.yaml, mcp: true}}", "plugins.p.mcp"),
    ("plugins: {p: {source: m.yaml, http: {a: {}, b: 1}}}", "plugins.p.http"),
    ("plugins: {p: {source: m.yaml, ui: {path: /x}}}", "plugins.p.ui"),
    ("plugins: {p: {source: m.yaml, runtime: {provider: x}}}", "plugins.p.runtime"),
]


@pytest.mark.parametrize(("text", "path"), UNPROVIDED, ids=[row[1] for row in UNPROVIDED])
def test_what_this_version_cannot_do_is_valid_but_not_served(loaded: Loader, text: str, path: str) -> None:
    config = loaded("server: {encryptionKey: k}\n" + text if not text.startswith("server") else text)
    assert [problem.path for problem in config.unprovided] == [path]
    with pytest.raises(ConfigurationInvalid, match="is not supported by this version; remove it"):
        require_serveable(config)


def test_what_asks_for_nothing_is_served(loaded: Loader) -> None:
    config = loaded(
        MINIMAL.replace("plugins:", "  telemetry: {t: {source: stdout}}\n  audit: {a: {}}\nplugins:")
        + "  q: {source: m.yaml, mcp: false, cache: [], egress: {allowedHosts: ['']}, http: {}}"
    )
    require_serveable(config)


def test_serving_needs_a_key_and_a_store(loaded: Loader) -> None:
    with pytest.raises(ConfigurationInvalid) as failure:
        require_serveable(loaded("plugins: {p: {source: m.yaml}}"))
    text = str(failure.value)
    assert "server.encryptionKey: is required to serve" in text
    assert "server.providers.indexeddb: is required" in text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("1.5h", 5400), ("2h45m", 9900), ("1us", 1e-6), ("30d", 2_592_000), ("+5s", 5), (".5s", 0.5)],
)
def test_config_durations(text: str, seconds: float) -> None:
    assert parse_config_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "-1s", "5", "5 s", "1d12h", "1.5d", "s", "1y", ".s", "9999999999999h"])
def test_what_is_no_config_duration(text: str) -> None:
    with pytest.raises(DurationInvalid):
        parse_config_duration(text)


@pytest.mark.parametrize("text", ["9" * 5000 + "d", "9" * 5000 + "h", "0." + "9" * 5000 + "s", "1h" * 2500])
def test_a_duration_is_not_as_long_as_a_page(text: str) -> None:
    with pytest.raises(DurationInvalid) as refused:
        parse_config_duration(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("port", ["0x" + "f" * 9000, "0o" + "7" * 9000, "9" * 5000, "9" * 4200])
def test_a_number_is_not_as_long_as_a_page(faults: Faults, port: str) -> None:
    (found,) = faults(f"server: {{public: {{port: {port}}}}}")
    assert found.startswith("a.yaml:1: server.public.port: '")
    assert "too long for a number" in found
    assert len(found) < 400


def test_plain_durations_have_a_sign_and_no_days() -> None:
    assert parse_duration("-1.5s") == timedelta(seconds=-1.5)
    assert parse_duration("0") == timedelta()
    with pytest.raises(DurationInvalid):
        parse_duration("1d")


@pytest.mark.parametrize("never", ["never", "Never", "0", "0s"])
def test_a_silent_process_can_be_kept_for_ever(loaded: Loader, never: str) -> None:
    read = loaded(f"server: {{supervision: {{restartSilentAfter: {never}, shutdownTimeout: 1m}}}}").server.supervision
    assert read == SupervisionConfig(restart_silent=None, shutdown=timedelta(minutes=1))


@pytest.mark.parametrize(
    ("written", "size"),
    [("512MiB", 512 * 1024**2), ("2 GiB", 2 * 1024**3), ("16384KiB", 16 * 1024**2), ("", None), ("null", None)],
)
def test_entries_of_every_kind_may_have_a_limit_of_memory(loaded: Loader, written: str, size: int | None) -> None:
    limits = f"limits: {{memory: {written}}}"
    text = f"""
        server: {{encryptionKey: k}}
        providers:
          indexeddb: {{main: {{source: ./store/manifest.yaml, {limits}}}}}
          workflow: {{local: {{source: ./workflow/manifest.yaml, indexeddb: main, {limits}}}}}
        plugins: {{echo: {{source: ./echo/manifest.yaml, {limits}}}, other: {{source: ./other/manifest.yaml}}}}
    """
    config = loaded(text)
    of_entry = {entry.name: entry.limits.memory_bytes for entry in config.entries}
    assert [of_entry[name] for name in ("main", "local", "echo", "other")] == [size, size, size, None]


def test_supervision_has_defaults(loaded: Loader) -> None:
    read = loaded("server: {public: {}}").server.supervision
    assert (read.start_timeout, read.slow_start) == (timedelta(minutes=2), timedelta(seconds=20))
    assert (read.restart_silent, read.shutdown) == (timedelta(seconds=30), timedelta(seconds=15))


UNUSED = """
server: {apiTokenTtl: 1d, agent: {defaultToolNarrowingThreshold: 10}}
providers:
  telemetry: {default: {source: stdout}}
  audit: {default: {source: noop}}
connections:
  crm: {auth: {type: oauth2, clientId: x, scopes: [a]}}
plugins:
  p:
    source: m.yaml
    iconFile: icon.svg
    connections: {crm: {ref: crm, credentialRefresh: {refreshInterval: 1h}}}
"""


def test_accepted_keys_that_nothing_reads_are_noted_where_they_are_set(loaded: Loader) -> None:
    unused = loaded(UNUSED).unused
    assert {problem.path for problem in unused} == {
        "server.apiTokenTtl",
        "server.agent.defaultToolNarrowingThreshold",
        "providers.telemetry.default",
        "providers.audit.default",
        "connections.crm.auth.clientId",
        "connections.crm.auth.scopes",
        "plugins.p.iconFile",
        "plugins.p.connections.crm.credentialRefresh",
    }
    assert all("is accepted and not used yet" in problem.reason for problem in unused)
    assert all(problem.place.line for problem in unused)


def test_a_configuration_that_sets_none_of_them_has_no_notice(loaded: Loader) -> None:
    assert loaded(MINIMAL).unused == ()


def test_hosts_and_connections_of_the_public_listener(loaded: Loader) -> None:
    public = loaded(MINIMAL).server.public
    assert (public.allowed_hosts, public.most_connections) == ((), 4096)
    listed = "server: {public: {allowedHosts: [gestalt.internal, '[fe80::1]', '::1'], maxConnections: 50}}"
    public = loaded(MINIMAL, listed).server.public
    assert (public.allowed_hosts, public.most_connections) == (("gestalt.internal", "[fe80::1]", "::1"), 50)


def test_allowed_operations_mean_nothing_on_other_entries(loaded: Loader) -> None:
    for kind in ("workflow", "indexeddb"):
        loaded(f"providers: {{{kind}: {{x: {{source: ./m.yaml, allowedOperations: {{}}}}}}}}")


def test_repositories_have_names_as_sources_give_them(loaded: Loader) -> None:
    loaded("providerRepositories: {acme-1.x_y: {url: 'https://a.example'}}")
