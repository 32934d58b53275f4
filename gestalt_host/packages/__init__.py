"""Provider packages: manifests, catalogues, where a source is found and how its process is started."""

from gestalt_host.packages.bundled import bundled, bundled_names
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, PluginCatalogue, read_catalogue
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.packages.manifest import Manifest, ManifestConnection, find_manifest, read_manifest
from gestalt_host.packages.prepare import Launchable, prepare

__all__ = [
    "CatalogueOperation",
    "CatalogueParameter",
    "LaunchCommand",
    "Launchable",
    "Manifest",
    "ManifestConnection",
    "PackageInvalid",
    "PluginCatalogue",
    "bundled",
    "bundled_names",
    "find_manifest",
    "prepare",
    "read_catalogue",
    "read_manifest",
]
