"""Signatures over release metadata: who has signed, what is refused, and how keys are kept."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid
from gestalt_host.packages.signatures import (
    check_public_key,
    key_id,
    new_key,
    public_key,
    read_private_key,
    sign,
    verify,
    write_private_key,
)

DATA = b"schema: gestaltd-provider-release\n"
# Always the same ones: they are in the names of tests.
OURS, OTHER = (f"gestalt-private-key:ed25519:1:{base64.b64encode(bytes([n] * 32)).decode()}" for n in (1, 2))
KEYS = {"ours": public_key(OURS), "other": public_key(OTHER)}


def test_the_pinned_key_that_signed_is_named() -> None:
    assert verify(DATA, sign(DATA, OURS), KEYS) == "ours"
    assert verify(DATA, sign(DATA, OTHER), KEYS) == "other"


def test_one_of_several_signatures_is_enough() -> None:
    assert verify(DATA, sign(DATA, new_key(), OURS), KEYS) == "ours"


def test_a_key_that_is_not_pinned_counts_as_no_signature() -> None:
    text = sign(DATA, new_key())
    assert verify(DATA, text, KEYS) == ""
    assert verify(DATA, text, {}) == ""


@pytest.mark.parametrize("place", range(0, len(DATA), 5))
def test_metadata_that_was_changed_by_one_byte_is_refused(place: int) -> None:
    changed = bytes([*DATA[:place], DATA[place] ^ 1, *DATA[place + 1 :]])
    with pytest.raises(PackageInvalid, match='signature by the key "ours" does not fit'):
        verify(changed, sign(DATA, OURS), KEYS)


def test_a_wrong_signature_beside_a_right_one_is_refused() -> None:
    text = sign(DATA, OURS) + sign(b"something else", OTHER)
    with pytest.raises(PackageInvalid, match='"other"'):
        verify(DATA, text, KEYS)


def test_a_signature_under_the_id_of_another_key_is_refused() -> None:
    text = sign(DATA, new_key())
    stolen = text.replace(text.split(":")[3], key_id(KEYS["ours"]))
    with pytest.raises(PackageInvalid, match='"ours"'):
        verify(DATA, stolen, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "rubbish",
        "gestalt-signature:ed25519:2:0123456789abcdef:AAAA",
        "gestalt-signature:ed25519:1:0123456789abcdef:AAAA",
        f"gestalt-signature:ed25519:1:xyz:{base64.b64encode(bytes(64)).decode()}",
        public_key(OURS),
    ],
)
def test_a_line_that_is_no_signature_is_named_by_its_number(text: str) -> None:
    with pytest.raises(PackageInvalid, match="line 2 is no signature; accepted is gestalt-signature:ed25519:1:"):
        verify(DATA, sign(DATA, OURS) + text, KEYS)


def test_a_pinned_text_that_is_no_key_is_named() -> None:
    with pytest.raises(PackageInvalid, match=r"providerKeys\.theirs: 'abc' is no public key; accepted is"):
        verify(DATA, sign(DATA, OURS), {**KEYS, "theirs": "abc"})


class TestKeys:
    def test_a_public_key_reads_back(self) -> None:
        check_public_key(KEYS["ours"])
        assert len(key_id(KEYS["ours"])) == 16

    @pytest.mark.parametrize("text", ["", "abc", "gestalt-public-key:ed25519:2:AAAA", KEYS["ours"] + "A"])
    def test_what_is_no_public_key_is_told_what_would_be(self, text: str) -> None:
        with pytest.raises(PackageInvalid, match="is no public key; accepted is gestalt-public-key:ed25519:1:<base64>"):
            check_public_key(text)

    def test_a_private_key_in_place_of_a_public_one_is_not_shown(self) -> None:
        with pytest.raises(PackageInvalid, match="private key stands where a public one") as caught:
            check_public_key(OURS)
        assert OURS.split(":")[3] not in str(caught.value)

    def test_a_private_key_is_its_owners_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        write_private_key(path, OURS)
        assert path.stat().st_mode & 0o777 == 0o600
        assert read_private_key(path) == OURS
        path.chmod(0o640)
        with pytest.raises(PackageInvalid, match=r"has mode 0640; .* \(0600\)"):
            read_private_key(path)

    def test_a_full_disk_leaves_no_empty_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        path = tmp_path / "gestalt-release.key"
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(PackageInvalid, match=r"release\.key: no space left on device"):
                write_private_key(path, OURS)
        assert not path.exists()
        write_private_key(path, OURS)

    def test_a_key_is_never_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        write_private_key(path, OURS)
        with pytest.raises(PackageInvalid, match="exists already"):
            write_private_key(path, OTHER)
        assert read_private_key(path) == OURS

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", KEYS["ours"].encode(), b"secret"])
    def test_a_file_without_a_private_key_is_refused_without_its_content(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(PackageInvalid, match=f"{path}: holds no private key; accepted is") as caught:
            read_private_key(path)
        assert "secret" not in str(caught.value)
