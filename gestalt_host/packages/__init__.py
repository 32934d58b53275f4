"""Provider packages: manifests, catalogues, where a source is found and how its process is started."""

from gestalt_host.packages.bundled import bundled, bundled_names
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, PluginCatalogue, read_catalogue
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.packages.manifests.document import manifest_document
from gestalt_host.packages.manifests.model import Manifest, ManifestConnection
from gestalt_host.packages.manifests.packaged import check_packaged
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest
from gestalt_host.packages.prepare import NOTHING_WRITTEN, Launchable, Workplace, prepare

__all__ = [
    "NOTHING_WRITTEN",
    "CatalogueOperation",
    "CatalogueParameter",
    "LaunchCommand",
    "Launchable",
    "Manifest",
    "ManifestConnection",
    "PackageInvalid",
    "PluginCatalogue",
    "Workplace",
    "bundled",
    "bundled_names",
    "check_packaged",
    "find_manifest",
    "manifest_document",
    "prepare",
    "read_catalogue",
    "read_manifest",
]
