#!/usr/bin/python3
"""Prints docs/limits.md, which is made from the constants of the code; with --check fails when the page or a constant is not true.

Usage: deploy/limits.py > docs/limits.md      deploy/limits.py --check

Every bound on outside input is a constant in a file that begins with MARKER, and says in its comment what is bounded,
what the sender sees beyond it and which test tries it. `./x check` runs this with --check.
"""

import os
import pathlib
import re
import sys

MARKER = "//! Bounds on outside input; docs/limits.md is made from this file."
PAGE = "docs/limits.md"
ROOT = pathlib.Path(__file__).resolve().parent.parent
INTRODUCTION = """# Limits

<!-- Made by deploy/limits.py from the constants of the code: change them there, then run deploy/limits.py > docs/limits.md -->

Every byte that a stranger sends is bounded before work is done for it: this page lists each bound, what the sender sees beyond it, and
the test that tries it. The values are the constants of the code, read by `deploy/limits.py`, and `./x check` fails when page and code
differ. What an operator can set (sizes of packages, quotas, time-outs) stands in the configuration and is not repeated here.
"""
CONSTANT = re.compile(r"^pub const (?P<name>\w+): (?P<type>[\w:]+) =\s*(?P<value>[^;]+);", re.MULTILINE)
# The three parts of a comment.
PARTS = re.compile(r"^(?P<what>.+?)\. Beyond it: (?P<beyond>.+?)\.? Tested by: `(?P<test>[^`]+)`\.?$")
UNITS = ("BYTES", "LINES", "SECONDS", "MS", "CHARACTERS")
SKIPPED = {"target", ".git", "fuzz"}


class Problem(Exception):
    """What is wrong with a constant, and where."""


def sources():
    """Every source file of ours."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(set(folders) - SKIPPED)
        for name in sorted(files):
            if name.endswith((".rs", ".py", ".mjs")):
                yield pathlib.Path(folder, name)


def tests():
    """Names of all functions: what `Tested by:` may end in."""
    names = set()
    for path in sources():
        names.update(re.findall(r"\b(?:fn|def|function) (\w+)", path.read_text(errors="replace")))
    return names


def comment_above(text, position):
    """The doc comment directly above a position, on one line."""
    lines = []
    for line in reversed(text[:position].splitlines()):
        if not line.startswith("///"):
            break
        lines.insert(0, line[3:].strip())
    return " ".join(lines)


def number(name, kind, text, known):
    """The value of a constant: literals, `*`, `+`, `<<` and other constants of the same file."""
    text = " ".join(text.split())
    duration = re.fullmatch(r"Duration::from_(secs|millis)\((.+)\)", text)
    if kind == "Duration" and duration is None:
        raise Problem(f"{name}: write Duration::from_secs(N) or Duration::from_millis(N)")
    expression = duration.group(2) if duration else text
    expression = re.sub(r"(?<=[0-9a-fA-F])_(?=[0-9a-fA-F])", "", expression)
    expression = re.sub(r"\b([A-Z][A-Z0-9_]+)\b(?: as \w+)?", lambda found: str(known[found.group(1)][0]), expression)
    expression = re.sub(r"\b(\d+)(?:usize|u64|u32)\b", r"\1", expression)
    if not re.fullmatch(r"[0-9x+*() <]+", expression):
        raise Problem(f"{name}: {text!r} is more than literals, *, +, << and constants of the same file")
    value = eval(expression, {"__builtins__": {}})  # Digits and four operators only, see above.
    return value, "ms" if duration and duration.group(1) == "millis" else "s" if duration else ""


def plural(count, word):
    return f"{count:,} {word if count != 1 else word.removesuffix('s')}"


def human(name, value, unit):
    """The value with its unit, as people say it."""
    last = name.rsplit("_", 1)[-1]
    if unit == "ms" or last == "MS":
        return plural(value // 1000, "seconds") if value % 1000 == 0 and value else f"{value:,} ms"
    if unit == "s" or last == "SECONDS":
        for size, word in ((3600, "hours"), (60, "minutes")):
            if value % size == 0 and value:
                return plural(value // size, word)
        return plural(value, "seconds")
    if last == "BYTES":
        for size, word in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if value % size == 0 and value:
                return f"{value // size:,} {word}"
        return plural(value, "bytes")
    return plural(value, last.lower()) if last in UNITS else f"{value:,}"


def constants(path, functions, problems):
    """Rows of one file."""
    text, known, rows = path.read_text(), {}, []
    where = path.relative_to(ROOT)
    for found in CONSTANT.finditer(text):
        name = found["name"]
        try:
            known[name] = number(name, found["type"].split("::")[-1], found["value"], known)
            parts = PARTS.match(comment_above(text, found.start()))
            if parts is None:
                raise Problem(
                    f"{name}: its comment must be of the form: What is bounded. Beyond it: what the sender sees. "
                    "Tested by: `path::of_the_test`."
                )
            test = parts["test"].rsplit("::", 1)[-1]
            if test not in functions:
                raise Problem(f"{name}: there is no test `{test}`; write it, or name the one that tries this bound")
            rows.append((parts["what"], human(name, *known[name]), parts["beyond"], parts["test"], name))
        except Problem as problem:
            problems.append(f"{where}: {problem}")
        except KeyError as unknown:
            problems.append(f"{where}: {name}: {unknown} is no constant above it in the same file")
    return rows


def page(problems):
    """The whole page."""
    functions, crates = tests(), {}
    for path in sources():
        inside = path.relative_to(ROOT)
        if "src" in inside.parts and path.suffix == ".rs" and MARKER in path.read_text(errors="replace").splitlines():
            rows = constants(path, functions, problems)
            crates.setdefault(inside.parts[0], []).extend(rows)
    out = [INTRODUCTION]
    for crate, rows in crates.items():
        out.append(f"\n## {crate}\n\n| what | value | beyond it | tested by | constant |\n|---|---|---|---|---|\n")
        for what, value, beyond, test, name in rows:
            cells = (what, value, beyond, f"`{test}`", f"`{name}`")
            out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(out)


def main():
    problems = []
    text = page(problems)
    if sys.argv[1:] == ["--check"]:
        kept = ROOT / PAGE
        if not kept.exists() or kept.read_text() != text:
            problems.append(f"{PAGE} is not what the constants say; type: deploy/limits.py > {PAGE}")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    if problems:
        sys.exit("limits.py:\n  " + "\n  ".join(problems))
    if sys.argv[1:]:
        print(f"{PAGE} says what the constants say")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
