"""`gestaltd provider release`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import UsageWrong
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.until_stopped import run_or_stop
from gestalt_sdk.serving.event_loop import run_event_loop

HELP = """\
Make a release of the provider whose manifest is in this directory: an archive for each platform, checksums.txt and
provider-release.yaml. What it needs is built first: a Python provider becomes one file that a Python of the same
version runs, Go, Rust and TypeScript are built by their own tools, and a prebuilt artifact is packed as it is. A plugin
without code (spec.surfaces) becomes one archive for all platforms. Nothing is written but the output folder, which
changes in one step and keeps what else is in it.

Usage:
  gestaltd provider release --version V [--output DIR] [--platform LIST|all] [--sign KEYFILE]...

Options:
  --version V           Version of the release, such as 1.2.3; takes the place of the manifest's.
  --output DIR          Where the files go, by default dist/.
  --platform LIST       Comma-separated os/arch, or all: darwin and linux, amd64 and arm64. By default this machine's.
  --sign KEYFILE        Sign the metadata with a private key of `gestaltd provider keygen`, into
                        provider-release.yaml.sig; may be repeated.
  --find-links PLACE    Python: where wheels are found beside the index, as for pip, which also reads its own
                        configuration (PIP_NO_INDEX=1: only there); may be repeated. gestaltd-sdk is found beside
                        gestaltd.
  --extra NAME          Python: an extra of the project whose requirements go along; may be repeated.
  -h, --help            This text.

Prints `created <path>` for each file.
"""


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Release the provider in the working directory."""
    # Making a release needs much that no other command does.
    from gestalt_host.packages.releasing.making import ReleaseRequest, release
    from gestalt_host.packages.signatures import read_private_key

    if not options.last("version"):
        raise UsageWrong("--version is required")
    here = Path.cwd()
    request = ReleaseRequest(
        version=options.last("version"),
        output=Path(options.last("output") or "dist"),
        platforms=options.last("platform"),
        keys=[read_private_key(Path(file)) for file in options.all("sign")],
        find_links=tuple(str(_place(word)) for word in options.all("find-links")),
        extras=tuple(options.all("extra")),
    )

    async def work() -> None:
        files = await release(here, request, environ)
        show("\n".join(f"created {file}" for file in files))

    run_event_loop(run_or_stop(work()))


def _place(word: str) -> str | Path:
    """Return a folder as an absolute path: pip runs elsewhere."""
    return word if "://" in word else Path(word).absolute()
