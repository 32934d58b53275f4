"""What comments and pages refer to exists: sections of the specification, decisions, files and their headings.

Read are comments and docstrings in Python, and whole files of the other kinds. A section is cited as page and number,
in one of the forms of ``SECTIONS``; a number alone is refused, because it means nothing once the text is moved.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
SPEC = "docs/spec/"
DECISIONS = "docs/decisions/"
PAGES = ("contract", "semantics", "http-api", "cli", "config", "packaging")
SUFFIXES = {".py", ".proto", ".md", ".yaml", ".yml", ".toml"}
GENERATED = "gestalt_sdk/gen/"
UNTRACKED = {".git", ".venv", "build", "dist", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"}
"""Folders that the walk leaves out where git cannot be asked."""
PARTS_OF_A_DECISION = ["Situation", "Choice", "What was measured", "What it costs"]

# Blanks with at most one end of line, so that a citation may be broken but never joins two paragraphs.
_GAP = r"(?:[^\S\n]+(?:\n[^\S\n]*)?|\n[^\S\n]*)"
_NUMBER = r"(?:[A-Z]\.?)?\d+(?:\.\d+)*(?![\w%]|\.\d)"
_WORD = rf"(?:[Ss]ections?{_GAP}|§§?{_GAP}?)?"
_NEXT = rf"(?:,{_GAP}?(?:and{_GAP}|or{_GAP})?|{_GAP}(?:and|or|to){_GAP}|{_GAP}?[-\u2013]{_GAP}?)"
_NUMBERS = rf"{_NUMBER}(?:{_NEXT}{_WORD}{_NUMBER})*"
MENTION = re.compile(r"(?<![\w./-])(?P<page>(?:[\w.-]+/)*[\w-]+\.md)\b(?!\w)")
SECTIONS = re.compile(
    rf"`?(?:,?{_GAP}{_WORD})(?:(?P<numbers>{_NUMBERS})|(?:[Aa]ppendix|[Pp]art){_GAP}(?P<part>[A-Z])\b)"
)
"""What may follow a page: ``5.4``, also behind a sign or the word, ``5.4, 5.5``, ``8.3-8.7``, ``appendix A``."""
DECISION = re.compile(rf"(?<!\w)[Dd]ecisions?{_GAP}(?P<numbers>\d+(?:{_NEXT}\d+)*)(?![\w%]|\.\d)")
SIGN = re.compile(rf"(?<!RFC )§§?{_GAP}?(?P<numbers>{_NUMBERS})?")
NAMELESS = re.compile(
    rf"\bdesign{_GAP}(?:section{_GAP})?§?\d[\d.]*"
    rf"|\b[Ss]ections?{_GAP}{_NUMBER}{_GAP}of{_GAP}(?:the{_GAP})?(?:semantics|contract|specification|design)\b"
)
HINT = re.compile(r"\.md\b|\b[Dd]ecisions?\b|§|\bdesign\b|\b[Ss]ections?\b")
"""Without one of these a text cites nothing; taking a module's comments out costs more than all the rest."""
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
HEADING_NUMBER = re.compile(
    r"(?:§|[Ss]ection |(?P<named>[Aa]ppendix |[Pp]art ))?"
    r"(?P<number>[A-Z](?=[.: ])|(?:[A-Z]\.?)?\d+(?:\.\d+)*)(?P<mark>[.:)]?)(?=\s|$)"
)
LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\s{0,3}\[[^\]]+\]:\s*(\S+)", re.M
)


@dataclass(frozen=True)
class Repository:
    """Tracked files by their path below the root."""

    files: frozenset[str]
    read: Callable[[str], str]

    @classmethod
    def of(cls, texts: dict[str, str]) -> Repository:
        return cls(frozenset(texts), texts.__getitem__)

    def __or__(self, texts: dict[str, str]) -> Repository:
        return Repository(self.files | frozenset(texts), lambda name: texts[name] if name in texts else self.read(name))

    @cached_property
    def folders(self) -> frozenset[str]:
        return frozenset(str(folder) for name in self.files for folder in PurePosixPath(name).parents)

    @cached_property
    def sections(self) -> dict[str, list[str]]:
        """Numbers of the headings of each page of the specification, by the page's name."""
        pages = [name for name in sorted(self.files) if name.startswith(SPEC) and name.endswith(".md")]
        return {PurePosixPath(name).name: numbers(self.read(name)) for name in pages}

    @cached_property
    def decisions(self) -> dict[str, str]:
        """The number that each page of a decision has in its first heading; blank without one."""
        pages = [name for name in sorted(self.files) if re.fullmatch(re.escape(DECISIONS) + r"\d[^/]*\.md", name)]
        return {name: _decision_number(self.read(name)) for name in pages}

    def has_page(self, mentioned: str) -> bool:
        """Whether a file's path ends in what is mentioned."""
        wanted = "/" + re.sub(r"^(?:\.{1,2}/)+", "", mentioned)
        return any(("/" + name).endswith(wanted) for name in self.files)


def repository() -> Repository:
    """Return the files that git tracks, or those of a walk where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = [path.as_posix() for path in found if not UNTRACKED & set(path.parts)]
    else:
        names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return Repository(frozenset(names), lambda name: (ROOT / name).read_text())


def read_files(repo: Repository) -> Iterator[tuple[str, str]]:
    for name in sorted(repo.files):
        path = PurePosixPath(name)
        if (path.suffix in SUFFIXES or path.name == "Makefile") and not name.startswith(GENERATED):
            yield name, repo.read(name)


# Texts ----------------------------------------------------------------------------------------------------------------


def prose(name: str, text: str) -> str:
    """Return the text with everything blanked that nobody reads as prose; lines and columns stay where they are."""
    if name.endswith(".py"):
        text = _comments(text)
    elif name.endswith(".md"):
        return text
    return re.sub(r"#|//", lambda match: " " * len(match[0]), text)


def _comments(source: str) -> str:
    """Only comments, and strings that are a statement of their own: docstrings of modules, classes and attributes."""
    kept = [list(" " * len(line)) for line in source.splitlines()]
    lines = source.splitlines()
    before, pending = tokenize.NEWLINE, None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            pieces = [token]
        elif pending is not None and token.type == tokenize.NEWLINE:
            pieces = [pending]
        else:
            pieces = []
        for piece in pieces:
            (first, start), (last, end) = piece.start, piece.end
            for row in range(first - 1, last):
                left = start if row == first - 1 else 0
                right = end if row == last - 1 else len(lines[row])
                kept[row][left:right] = lines[row][left:right]
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        statement = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        pending = token if statement and token.type == tokenize.STRING else None
        before = token.type
    return "\n".join("".join(line) for line in kept)


def headings(text: str) -> list[str]:
    """The headings of a Markdown text, in their order."""
    found = (HEADING.match(line) for line in _without_fences(text).splitlines())
    return [match[2] for match in found if match]


def numbers(text: str) -> list[str]:
    """The numbers of those headings that have one: ``5.4``, ``A5.2``, ``A.3``; ``A`` of "Appendix A." or "Part A."."""
    found = []
    for heading in headings(text):
        match = HEADING_NUMBER.match(heading)
        if match and (match["named"] or match["mark"] or not match["number"].isalpha()):
            found.append(match["number"])
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown text as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in headings(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def _decision_number(text: str) -> str:
    match = re.match(r"# Decision (\d+): \S", text)
    return match[1] if match else ""


def _without_fences(text: str) -> str:
    return re.sub(r"^( *)(```+|~~~+).*?^ *\2[`~]* *$", _blank, text, flags=re.M | re.S)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


# Faults ---------------------------------------------------------------------------------------------------------------


def citation_faults(name: str, text: str, repo: Repository) -> list[str]:
    """Return what is wrong with the citations in a text, each with its line."""
    if not HINT.search(text):
        return []
    text = prose(name, text)
    faults: list[tuple[int, str]] = []
    cited: list[tuple[int, int]] = []
    for mention in MENTION.finditer(text):
        page = PurePosixPath(mention["page"]).name
        sections = SECTIONS.match(text, mention.end())
        if sections:
            cited.append(sections.span())
        if page.removesuffix(".md") not in PAGES or not sections:
            if not repo.has_page(mention["page"]):
                faults.append((mention.start(), f"there is no {mention['page']}"))
        elif page not in repo.sections:
            faults.append((mention.start(), f"there is no {SPEC}{page}"))
        else:
            missing = [number for number in _cited(sections) if number not in repo.sections[page]]
            faults += [(mention.start(), f"{page} has no section {number}") for number in missing]
    for decision in DECISION.finditer(text):
        missing = [number for number in _cited(decision) if number not in repo.decisions.values()]
        faults += [(decision.start(), f"there is no decision {number}") for number in missing]
    own = repo.sections.get(PurePosixPath(name).name) if name.startswith(SPEC) else None
    for sign in SIGN.finditer(text):
        if any(start <= sign.start() < end for start, end in cited):
            continue
        if own is None:
            faults.append((sign.start(), f"{sign[0]!r} does not say of which page"))
        else:
            missing = [number for number in _cited(sign) if number not in own]
            faults += [(sign.start(), f"this page has no section {number}") for number in missing]
    faults += [(match.start(), f"{match[0]!r} does not name a page") for match in NAMELESS.finditer(text)]
    return [f"{name}:{text.count(chr(10), 0, place) + 1}: {fault}" for place, fault in sorted(faults)]


def _cited(match: re.Match[str]) -> list[str]:
    groups = match.groupdict()
    return [groups["part"]] if groups.get("part") else re.findall(r"[A-Z]?\.?\d+(?:\.\d+)*", groups["numbers"] or "")


def link_faults(name: str, text: str, repo: Repository) -> list[str]:
    """Return the links of a Markdown text that lead to no tracked file, folder, heading or line."""
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", _blank, _without_fences(text), flags=re.S)
    faults = []
    for match in LINK.finditer(text):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        found = _resolved(name, unquote(path)) if path else name
        if found not in repo.files and found not in repo.folders:
            fault = f"{target}: there is no such file"
        elif anchor and not _has_anchor(found, unquote(anchor), repo):
            fault = f"{target}: {found} has no {anchor}"
        else:
            continue
        faults.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {fault}")
    return faults


def _resolved(name: str, path: str) -> str:
    """The path below the root that a link in a file leads to; what leaves the root is no tracked file."""
    parts: list[str] = list(PurePosixPath(name).parent.parts)
    for part in PurePosixPath(path).parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts) or "."


def _has_anchor(name: str, anchor: str, repo: Repository) -> bool:
    if name not in repo.files:
        return False
    if name.endswith(".md"):
        return anchor in anchors(repo.read(name))
    lines = re.fullmatch(r"L(\d+)(?:-L(\d+))?", anchor)
    return lines is not None and int(lines[2] or lines[1]) <= len(repo.read(name).splitlines())


def page_faults(repo: Repository) -> list[str]:
    """Return what is wrong with the pages that are cited: numbers used twice, decisions without their form."""
    faults = []
    for page, found in repo.sections.items():
        faults += [
            f"{SPEC}{page}: section {number} is there {n} times" for number, n in Counter(found).items() if n > 1
        ]
    for number, n in Counter(repo.decisions.values()).items():
        if number and n > 1:
            faults.append(f"{DECISIONS}: decision {number} is there {n} times")
    index = DECISIONS + "README.md"
    listed = repo.read(index) if index in repo.files else ""
    for name, number in repo.decisions.items():
        file = PurePosixPath(name).name
        if not number or file.split("-")[0] != number.zfill(2):
            faults.append(f"{name}: its first line is not '# Decision N: title' with the number of its name")
        if [heading for heading in headings(repo.read(name)) if heading in PARTS_OF_A_DECISION] != PARTS_OF_A_DECISION:
            faults.append(f"{name}: its sections are not {', '.join(PARTS_OF_A_DECISION)}")
        if f"| {number} | [" not in listed or f"]({file})" not in listed:
            faults.append(f"{index}: no line for {file}")
    return faults


# The repository -------------------------------------------------------------------------------------------------------


def test_citations_resolve() -> None:
    repo = repository()
    faults = [fault for name, text in read_files(repo) for fault in citation_faults(name, text, repo)]
    assert not faults, "\n".join(faults)


def test_links_between_pages_resolve() -> None:
    repo = repository()
    pages = [name for name in sorted(repo.files) if name.endswith(".md")]
    faults = [fault for name in pages for fault in link_faults(name, repo.read(name), repo)]
    assert not faults, "\n".join(faults)


def test_cited_pages_have_each_number_once_and_decisions_their_form() -> None:
    faults = page_faults(repository())
    assert not faults, "\n".join(faults)


# The checker on planted faults ----------------------------------------------------------------------------------------

DECISION_TEXT = "# Decision 3: Who\n\n## Situation\n\n## Choice\n\n## What was measured\n\n## What it costs\n"
PLANTED = Repository.of(
    {
        "docs/spec/contract.md": "## 5. Store\n### 5.4 Keys\n### 5.5 Errors\n§5.4\n## Appendix A. Rest\n### A.3 x\n",
        "docs/spec/cli.md": "# Part A. Client\n## A5. Output\n### A5.2 Tables\n# Part B. Server\n## B5. `serve`\n",
        "docs/decisions/03-who.md": DECISION_TEXT,
        "docs/decisions/18-signed.md": DECISION_TEXT.replace("3", "18"),
        "docs/decisions/README.md": "| 3 | [Who](03-who.md) |\n| 18 | [Signed](18-signed.md) |\n",
        "docs/http.md": "# HTTP\n## Routes & `shapes`\n## Twice\n## Twice\n",
        "code/run.py": "one\ntwo\n",
    }
)


@pytest.mark.parametrize(
    "text",
    [
        "contract.md 5.4",
        "contract.md §5.4",
        "contract.md, section 5.4",
        "contract.md section 5.4 says",
        "contract.md, sections 5.4 and 5.5",
        "contract.md 5.4, 5.5; decision 3",
        "contract.md §5.4, §5.5",
        "contract.md §§5.4\u20135.5",
        "contract.md 5.4 to 5.5",
        "contract.md 5.4-5.5",
        "contract.md A.3",
        "contract.md, appendix A",
        "`contract.md` 5.4",
        "cli.md A5.2 and cli.md B5",
        "docs/spec/contract.md 5",
        "(cli.md A5, contract.md 5.)",
        "decision 3",
        "Decision 18:",
        "decisions 3 and 18",
        "decisions 3, 18",
        "design decision 3",
        "see docs/http.md",
        "RFC 9110 section 9.3, RFC §5",
        "a decision that 3 others made",
    ],
)
def test_a_citation_that_resolves_is_accepted(text: str) -> None:
    assert citation_faults("code/notes.md", text, PLANTED) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("contract.md 5.6", "contract.md has no section 5.6"),
        ("contract.md 5.45", "contract.md has no section 5.45"),
        ("contract.md §6", "contract.md has no section 6"),
        ("contract.md, section 7.1", "contract.md has no section 7.1"),
        ("contract.md 5.4, 5.9", "contract.md has no section 5.9"),
        ("contract.md 5.4 and 5.9", "contract.md has no section 5.9"),
        ("contract.md 5.4-5.9", "contract.md has no section 5.9"),
        ("contract.md A.4", "contract.md has no section A.4"),
        ("contract.md, appendix B", "contract.md has no section B"),
        ("cli.md A5.3", "cli.md has no section A5.3"),
        ("cli.md A.5", "cli.md has no section A.5"),
        ("cli.md B6", "cli.md has no section B6"),
        ("semantics.md 3", "there is no docs/spec/semantics.md"),
        ("design.md 4", "there is no design.md"),
        ("see design.md", "there is no design.md"),
        ("docs/spec/design.md", "there is no docs/spec/design.md"),
        ("§12.2", "'§12.2' does not say of which page"),
        ("contract §5.4", "'§5.4' does not say of which page"),
        ("design 5.10", "'design 5.10' does not name a page"),
        ("Section 22 of the semantics", "'Section 22 of the semantics' does not name a page"),
        ("decision 4", "there is no decision 4"),
        ("decisions 3 and 19", "there is no decision 19"),
        ("design decisions 3, 18 and 20", "there is no decision 20"),
    ],
)
def test_a_citation_that_leads_nowhere_is_refused(text: str, fault: str) -> None:
    assert citation_faults("code/notes.md", text, PLANTED) == [f"code/notes.md:1: {fault}"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("code/a.py", '"""Keys\n(contract.md\n9.9)."""\n', 2),
        ("code/a.py", "x = 1\n# as design\n# decision\n#   4 says\n", 3),
        ("code/a.py", 'class A:\n    x: int\n    """As contract.md 9."""\n', 3),
        ("code/a.py", 'def f() -> None:\n    """Return it (§3)."""\n', 2),
        ("code/a.proto", "// contract.md\n// 9.9 says so.\nmessage A {}\n", 1),
        ("code/a.proto", "message A {}  // Decision 4.\n", 1),
        ("code/a.yaml", "a: 1  # contract.md 9\n", 1),
        ("Makefile", "run: setup\n# contract.md 9\n", 2),
        ("docs/spec/contract.md", "# Contract\n## 5. Store\nSee §5.4.\nSee §5.6.\n", 4),
    ],
)
def test_faults_are_found_where_people_write(name: str, text: str, line: int) -> None:
    faults = citation_faults(name, text, PLANTED)
    assert [fault.rsplit(": ", 1)[0] for fault in faults] == [f"{name}:{line}"]


def test_strings_of_a_program_are_not_read() -> None:
    assert citation_faults("code/a.py", 'print("contract.md 9.9, §3, decision 4")\n', PLANTED) == []


@pytest.mark.parametrize(
    "link",
    ["http.md", "http.md#routes--shapes", "http.md#twice-1", "../docs", "#here", "../code/run.py#L2", "https://a.b/c"],
)
def test_a_link_that_leads_somewhere_is_accepted(link: str) -> None:
    assert link_faults("docs/new.md", f"# Here\n[text]({link})\n", PLANTED | {"docs/new.md": "# Here"}) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[a](htp.md)", "htp.md: there is no such file"),
        ("[a `b`](../http.md)", "../http.md: there is no such file"),
        ("[a](../../docs/http.md)", "../../docs/http.md: there is no such file"),
        ("[a](/docs/http.md)", "/docs/http.md: there is no such file"),
        ("[a](http.md#rotes)", "http.md#rotes: docs/http.md has no rotes"),
        ("[a](http.md#twice-2)", "http.md#twice-2: docs/http.md has no twice-2"),
        ("[a](../code/run.py#L3)", "../code/run.py#L3: code/run.py has no L3"),
        ("![a](a.png)", "a.png: there is no such file"),
        ("[a]: b.md", "b.md: there is no such file"),
    ],
)
def test_a_link_that_leads_nowhere_is_refused(text: str, fault: str) -> None:
    assert link_faults("docs/new.md", text, PLANTED) == [f"docs/new.md:1: {fault}"]


def test_links_in_code_are_not_followed() -> None:
    assert link_faults("docs/new.md", "`[a](b.md)`\n```\n[a](b.md)\n```\n", PLANTED) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("docs/spec/cli.md", "## A5. Output\n### A5. Again\n", "docs/spec/cli.md: section A5 is there 2 times"),
        ("docs/spec/cli.md", "# Part A. One\n# Part A. Two\n", "docs/spec/cli.md: section A is there 2 times"),
        (
            "docs/decisions/18-signed.md",
            DECISION_TEXT,
            "docs/decisions/: decision 3 is there 2 times",
        ),
        (
            "docs/decisions/03-who.md",
            DECISION_TEXT.replace("## Choice\n\n", ""),
            "docs/decisions/03-who.md: its sections are not Situation, Choice, What was measured, What it costs",
        ),
        (
            "docs/decisions/03-who.md",
            DECISION_TEXT.replace("# Decision 3: Who", "# Who"),
            "docs/decisions/03-who.md: its first line is not '# Decision N: title' with the number of its name",
        ),
        ("docs/decisions/README.md", "| 3 | [Who](03-who.md) |", "docs/decisions/README.md: no line for 18-signed.md"),
    ],
)
def test_pages_out_of_form_are_refused(name: str, text: str, fault: str) -> None:
    assert page_faults(PLANTED) == []
    assert fault in page_faults(PLANTED | {name: text})


def test_headings_in_code_and_words_are_no_numbers() -> None:
    text = "# A record\n## 2 Values\n```\n## 3. no\n```\n## 4. yes\n## Part B. Server\n## A.1 `x`\n## 2026-01 no\n"
    assert numbers(text) == ["2", "4", "B", "A.1"]
