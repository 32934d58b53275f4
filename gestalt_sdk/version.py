"""The version of this tree: of `gestaltd-sdk` and of `gestaltd`, which are released together."""

VERSION = "0.1.0"
