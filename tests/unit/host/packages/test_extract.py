"""Release archives: what is unpacked, and the corpus of what is not (packaging.md 8.4)."""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid
from gestalt_host.packages.archives import entries, gunzip
from gestalt_host.packages.archives import extract as module
from gestalt_host.packages.archives.extract import extract
from tests.support.nightly import at_night
from tests.support.rigs.archives import END, archive, entry, padded, pax, raw_entry, sha256, written

DEEP = "/".join("d" * 65)


def unpacked(tmp_path: Path, data: bytes) -> Path:
    into = tmp_path / "into"
    into.mkdir(mode=0o700)
    assert extract(written(tmp_path / "a.tar.gz", data), into) == sha256(data)
    return into


def names_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


ACCEPTED: dict[str, tuple[bytes, list[str]]] = {
    "plain": (archive(entry("a/b"), entry("c")), ["a", "a/b", "c"]),
    "names that normalise": (archive(entry("./a"), entry("b//c"), entry("d/./e")), ["a", "b", "b/c", "d", "d/e"]),
    "the package itself": (archive(entry("./", b"", tarfile.DIRTYPE), entry("./a")), ["a"]),
    "a directory twice": (
        archive(entry("d", b"", tarfile.DIRTYPE), entry("d/", b"", tarfile.DIRTYPE), entry("d/a")),
        ["d", "d/a"],
    ),
    "a directory after what is in it": (archive(entry("d/a"), entry("d", b"", tarfile.DIRTYPE)), ["d", "d/a"]),
    "a global header": (archive(pax(tarfile.XGLTYPE, comment="0123"), entry("a")), ["a"]),
    "a size in a pax header": (archive(pax(size="3"), raw_entry(b"a", b"xyz", size=b"0" * 11 + b"\0")), ["a"]),
    "GNU long names": (archive(entry("d/" + "n" * 150, form=tarfile.GNU_FORMAT)), ["d", "d/" + "n" * 150]),
    "names that are not ASCII": (archive(entry("grün/日本")), ["grün", "grün/日本"]),
    "names with dots in front": (archive(entry("..a"), entry(".b")), ["..a", ".b"]),
    "old types": (archive(raw_entry(b"a", kind=b"\0"), raw_entry(b"d/", b"", b"\0")), ["a", "d"]),
    "two gzip members": (gzip.compress(entry("a")) + gzip.compress(entry("b") + END), ["a", "b"]),
    "a member behind the end": (archive(entry("a")) + gzip.compress(b"x" * 1000), ["a"]),
    "bytes behind the stream": (archive(entry("a")) + b"bytes", ["a"]),
    "bytes behind the archive": (archive(entry("a"), end=END + b"bytes"), ["a"]),
    "nothing": (archive(), []),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_accepted_is_unpacked(tmp_path: Path, case: str) -> None:
    data, names = ACCEPTED[case]
    assert names_in(unpacked(tmp_path, data)) == names


SLIPS = {
    "up": b"../evil",
    "up from below": b"a/../../evil",
    "up inside": b"a/../evil",
    "to the root": b"a/..",
    "nothing but up": b"..",
    "with a dot before": b"./../evil",
    "with slashes": b"..//evil",
    "absolute": b"/tmp/evil",
    "absolute up": b"/../evil",
    "two slashes": b"//evil",
    "of Windows": b"..\\evil",
    "of Windows, absolute": b"C:\\evil",
    "a back-slash": b"a\\b",
}
NAMES = {
    "a line feed": (b"a\nb", "cannot be shown"),
    "an escape": (b"\x1b[2Ja", "cannot be shown"),
    "a delete": (b"a\x7f", "cannot be shown"),
    "a control character beyond ASCII": ("a\u0085b".encode(), "cannot be shown"),
    "the direction of text": ("a\u202egpj.exe".encode(), "cannot be shown"),
    "a character of no width": ("a\u200bb".encode(), "cannot be shown"),
    "a line separator": ("a\u2028b".encode(), "cannot be shown"),
    "latin-1": (b"gr\xfcn", "not UTF-8"),
    "half a surrogate pair": (b"a\xed\xa0\x80", "not UTF-8"),
    "overlong": (b"..\xc0\xafevil", "not UTF-8"),
    "empty": (b"", "the name is empty"),
    "a trailing dot": (b"foo.", "ends with a dot"),
    "a trailing blank": (b"foo /a", "ends with a dot or a blank"),
    "a blank": (b" ", "ends with a dot or a blank"),
    "three dots": (b"...", "ends with a dot"),
    "a file with a slash": (b"a/", "a file has such a name"),
    "the package as a file": (b".", "a directory of this name"),
}
TYPES = {
    b"1": "a hard link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"S": "a sparse file",
    b"K": "a link",
    b"Z": "of the unknown type",
    b"\xff": "of the unknown type",
}
A = entry("a")
SLIP = "the name "
OVER = b"%011o\0" % ((1 << 31) + 1)
MALFORMED = "a pax header is malformed"
HUGE = "bytes; accepted are 65536"
LARGE = "more than 2147483648 bytes"
HOSTILE: dict[str, tuple[bytes, str]] = {
    **{f"slip: {case}": (archive(raw_entry(name)), SLIP) for case, name in SLIPS.items()},
    **{f"slip by pax: {case}": (archive(pax(path=name.decode()), A), SLIP) for case, name in SLIPS.items()},
    **{
        f"slip by a long name: {case}": (archive(raw_entry(b"l", name + b"\0", b"L"), A), SLIP)
        for case, name in SLIPS.items()
    },
    **{f"slip of a directory: {case}": (archive(raw_entry(name, b"", b"5")), SLIP) for case, name in SLIPS.items()},
    **{f"name: {case}": (archive(raw_entry(name)), reason) for case, (name, reason) in NAMES.items()},
    **{f"type: {kind!r}": (archive(raw_entry(b"a", b"", kind)), reason) for kind, reason in TYPES.items()},
    "a name with NUL by pax": (archive(pax(path="a\0b"), A), "cannot be shown"),
    "written through a link": (
        archive(entry("l", b"", tarfile.SYMTYPE, linkname="/etc"), entry("l/evil")),
        'entry "l": it is a link',
    ),
    "a file twice": (archive(entry("a"), A), 'entry "a": a second one of this name'),
    "a file twice, spelled differently": (archive(entry("a/b"), entry("./a//b")), "a second one of this name"),
    "a file and a directory": (archive(entry("a"), entry("a", b"", tarfile.DIRTYPE)), "a file of the name"),
    "a file and something in it": (archive(entry("a"), entry("a/b")), 'a file of the name "a" is there too'),
    "a directory and a file": (archive(entry("a/b"), A), "a directory of this name is there too"),
    "a directory with content": (archive(raw_entry(b"d", b"x", b"5")), "1 is not a size"),
    "a long name": (archive(pax(path="n/" * 1025 + "n"), A), "the name has 2051 bytes; accepted are 2048"),
    "a long part of a name": (archive(pax(path="n" * 256), A), "a part of the name has 256 bytes"),
    "deep nesting": (archive(pax(path=DEEP), A), "has 65 directories inside each other"),
    "more than may be unpacked": (
        archive(raw_entry(b"a", b"", size=OVER)),
        LARGE,
    ),
    "a size in base 256": (archive(raw_entry(b"a", b"", size=b"\x80" + b"\xff" * 11)), LARGE),
    "a negative size": (archive(raw_entry(b"a", b"", size=b"\xff" * 12)), "-1 is not a size"),
    "a size by pax": (archive(pax(size="9" * 15), A), LARGE),
    "a negative size by pax": (archive(pax(size="-1"), A), '"-1" is not a size'),
    "a size of many digits": (archive(pax(size="9" * 5000), A), "is not a size"),
    "a large pax header": (
        archive(raw_entry(b"p", b"x" * 70_000, b"x"), A),
        "has 70000 bytes",
    ),
    "a huge pax header": (archive(raw_entry(b"p", b"", b"x", size=b"7" * 11 + b"\0")), HUGE),
    "a large long name": (archive(raw_entry(b"p", b"x" * 70_000, b"L"), A), HUGE),
    "a huge global header": (archive(raw_entry(b"p", b"", b"g", size=b"7" * 11 + b"\0")), HUGE),
    "a chain of pax headers": (archive(pax(comment="1"), pax(comment="2"), A), "two pax headers"),
    "a chain of long names": (archive(*[raw_entry(b"l", b"n\0", b"L")] * 2, A), "two long names"),
    "a malformed pax header": (archive(raw_entry(b"p", b"99 path=a\n", b"x"), A), MALFORMED),
    "a pax header of length 0": (
        archive(raw_entry(b"p", b"0 path=a\n", b"x"), A),
        MALFORMED,
    ),
    "a pax header without an end": (
        archive(raw_entry(b"p", b"9 path=ab", b"x"), A),
        MALFORMED,
    ),
    "a sparse file by pax": (archive(pax(GNU__sparse__size="9"), A), "a sparse file is not accepted"),
    "a name for all": (archive(pax(tarfile.XGLTYPE, path="b"), A), "a global header names 'path'"),
    "a size for all": (archive(pax(tarfile.XGLTYPE, size="1"), A), "a global header names 'size'"),
    "cut in a header": (archive(entry("a")[:300], end=b""), "not a whole tar archive"),
    "cut in an entry": (archive(entry("a", b"x" * 2000)[:1024], end=b""), "cut in the middle of an entry"),
    "cut in the padding": (archive(entry("a")[:-5], end=b""), "cut in the middle of an entry"),
    "cut in a pax header": (archive(pax(path="a")[:530], end=b""), "cut in the middle of an entry"),
    "cut between entries": (archive(entry("a"), end=b""), "the blocks that mark its end are missing"),
    "a damaged header": (archive(entry("a"), b"x" + entry("b")[1:]), "not a whole tar archive: bad checksum"),
    "a header that is no number": (archive(entry("a"), b"\xff" * 512), "not a whole tar archive"),
    "cut gzip": (archive(A)[:-20], "not a whole gzip stream: it ends before its end is marked"),
    "gzip cut in its check sum": (archive(A)[:-4], "not a whole gzip stream: it ends before"),
    "a wrong check sum": (archive(A)[:-8] + b"\0" * 8, "not a whole gzip stream: incorrect data check"),
    "a wrong length": (archive(A)[:-1] + b"\1", "not a whole gzip stream: incorrect length check"),
    "damaged gzip": (archive(A)[:12] + b"\xff" * 40, "not a whole gzip stream"),
    "a damaged second member": (gzip.compress(A) + b"\x1f\x8b\xff" * 9, "not a whole gzip stream"),
    "xz": (lzma.compress(entry("a") + END), "not a whole gzip stream: incorrect header check"),
    "plain tar": (entry("a") + END, "not a whole gzip stream: incorrect header check"),
    "zip": (b"PK\3\4" + b"\0" * 60, "not a whole gzip stream: incorrect header check"),
    "text": (b"hello\n", "not a whole gzip stream"),
    "an empty file": (b"", "not a whole gzip stream"),
    "gzip of gzip": (gzip.compress(archive(A)), "not a whole tar archive"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_with_their_reason(tmp_path: Path, case: str) -> None:
    data, reason = HOSTILE[case]
    into = tmp_path / "below" / "into"
    into.mkdir(parents=True, mode=0o700)
    with pytest.raises(PackageInvalid) as failure:
        extract(written(tmp_path / "a.tar.gz", data), into)
    text = str(failure.value)
    assert text.startswith("a.tar.gz: ")
    assert reason in text
    assert text.isprintable()
    assert str(tmp_path) not in text
    assert failure.value.reason == "its archive cannot be used"
    assert names_in(tmp_path) == sorted(
        {"a.tar.gz", "below", "below/into", *(f"below/into/{n}" for n in names_in(into))}
    )
    assert not Path("/tmp/evil").exists()


def test_a_bomb_behind_the_archive_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    data = archive(entry("a"), end=END + b"\0" * (4 << 20))
    assert len(data) < 32_768
    with pytest.raises(PackageInvalid, match="contains more than 1048576 bytes"):
        extract(written(tmp_path / "a.tar.gz", data), into, most_bytes=1 << 20)


def test_many_directories_that_no_entry_names_count_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 500)
    into = tmp_path / "into"
    into.mkdir()
    data = archive(*(pax(path=f"{number}/" + "d/" * 60 + "f") + entry("a") for number in range(100)))
    with pytest.raises(PackageInvalid, match="more than 500 files and directories"):
        extract(written(tmp_path / "a.tar.gz", data), into)
    assert len(names_in(into)) <= 500


@pytest.mark.timeout(600)
def test_a_hundred_thousand_entries_are_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = at_night(entries.MOST_ENTRIES, otherwise=300)
    assert entries.MOST_ENTRIES == 100_000
    monkeypatch.setattr(entries, "MOST_ENTRIES", most)
    files = b"".join(entry(f"{number}", b"") for number in range(most - 1))
    assert len(names_in(unpacked(tmp_path, archive(files)))) == most - 1
    for number, part in enumerate((entry("d", b"", tarfile.DIRTYPE), pax(tarfile.XGLTYPE, comment="x"))):
        data, into = archive(part * (most + 1)), tmp_path / f"more {number}"
        into.mkdir()
        with pytest.raises(PackageInvalid, match=f"has more than {most} "):
            extract(written(tmp_path / "b.tar.gz", data), into)


def test_an_archive_has_at_most_512_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gunzip.MOST_ARCHIVE_BYTES == 512 << 20
    monkeypatch.setattr(gunzip, "MOST_ARCHIVE_BYTES", 64 << 10)
    (tmp_path / "into").mkdir()
    data = archive(entry("a", os.urandom(100 << 10)))
    with pytest.raises(PackageInvalid, match="has more than 65536 bytes; no archive may have more"):
        extract(written(tmp_path / "a.tar.gz", data), tmp_path / "into")


def test_the_owner_can_read_and_write_and_no_bit_gives_more_than_the_header(tmp_path: Path) -> None:
    data = archive(
        entry("none", mode=0),
        entry("set-id", mode=0o7755),
        entry("all", mode=0o777),
        entry("closed", b"", tarfile.DIRTYPE, 0),
        entry("closed/a"),
        entry("empty", b"", tarfile.DIRTYPE, 0o644),
        entry("owner", uid=12345, gid=12345),
    )
    mask = os.umask(0o022)
    try:
        into = unpacked(tmp_path, data)
    finally:
        os.umask(mask)
    modes = {name: oct(mode_of(into / name)) for name in ("none", "set-id", "all", "closed", "empty")}
    assert modes == {"none": "0o600", "set-id": "0o755", "all": "0o755", "closed": "0o700", "empty": "0o644"}
    assert (into / "owner").stat().st_uid == os.getuid()


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(PackageInvalid, match="not there, or not a regular file"):
            extract(path, tmp_path)


def test_a_link_that_was_planted_is_not_followed(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    (into / "a").symlink_to(tmp_path / "target")
    with pytest.raises(PackageInvalid, match="takes its name and that of another one for the same"):
        extract(written(tmp_path / "a.tar.gz", archive(entry("a"))), into)
    assert not (tmp_path / "target").exists()


def made_by_tar(source: Path, target: Path) -> None:
    subprocess.run(["tar", "-czf", target, "-C", source, "."], check=True)


def made_by_tar_posix(source: Path, target: Path) -> None:
    subprocess.run(["tar", "--format=posix", "-czf", target, "-C", source, "."], check=True)


def made_by_git(source: Path, target: Path) -> None:
    git = ["git", "-C", str(source), "-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "m"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "archive", "--format=tar.gz", "-o", str(target), "HEAD"], check=True)


@pytest.mark.parametrize("make", [made_by_tar, made_by_tar_posix, made_by_git])
def test_archives_of_tar_and_git_are_accepted(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    source = tmp_path / "source"
    (source / "bin" / ("long" * 30)).mkdir(parents=True)
    (source / "bin" / "run").write_bytes(b"\x7fELF")
    (source / "bin" / "run").chmod(0o755)
    (source / "bin" / ("long" * 30) / ("name" * 30)).write_text("x" * 100_000)
    (source / "grün").write_text("y")
    make(source, tmp_path / "a.tar.gz")
    into = tmp_path / "into"
    into.mkdir(mode=0o700)
    extract(tmp_path / "a.tar.gz", into)
    expected = [name for name in names_in(source) if not name.startswith(".git")]
    assert names_in(into) == expected
    assert all(
        (into / name).read_bytes() == (source / name).read_bytes() for name in expected if (into / name).is_file()
    )
    assert mode_of(into / "bin" / "run") & 0o700 == 0o700


def test_padding_of_the_rig_is_that_of_tar() -> None:
    assert len(padded(b"x")) == tarfile.BLOCKSIZE
