"""Reads `cargo metadata --filter-platform …` on standard input; fails on a licence or a crate we do not want.

Run by `./x check`. A new licence is added here with the reason, or the crate goes.
"""

import json
import sys

# Permissive, and compatible with Apache-2.0.
ALLOWED = {
    "MIT", "Apache-2.0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Zlib", "Unicode-3.0", "Unlicense", "MIT-0",
    "CC0-1.0", "CDLA-Permissive-2.0", "BSL-1.0", "OpenSSL", "Apache-2.0 WITH LLVM-exception", "LGPL-2.1-or-later",
}
# Why each is banned: it would be the second of its kind, or is unmaintained.
BANNED = {
    "openssl-sys": "aws-lc is the one crypto library",
    "native-tls": "rustls is the one TLS library",
    "ring": "aws-lc-rs is the one crypto provider; two of them panic at run time",
    "rsa": "its timing leak has no fix, and we issue RS256 tokens",
    "serde_yaml": "unmaintained; serde-saphyr reads our YAML",
    "serde_yml": "unsound; serde-saphyr reads our YAML",
}


def acceptable(expression):
    """Whether one alternative of an SPDX expression consists of allowed licences only."""
    flat = expression.replace("(", " ").replace(")", " ").replace("/", " OR ")
    return any(
        all(part.strip() in ALLOWED for part in alternative.split(" AND "))
        for alternative in flat.split(" OR ")
    ) or all(part.strip() in ALLOWED for part in flat.replace(" AND ", " OR ").split(" OR "))


def enabled(package, node):
    """Names of the optional dependencies that the active features switch on."""
    names = set()
    for feature in node["features"]:
        for item in [feature, *package["features"].get(feature, [])]:
            name = item.removeprefix("dep:").split("/")[0]
            if not name.endswith("?"):
                names.add(name)
    return names


def compiled(metadata):
    """Ids of the packages that are really built: an optional one only when switched on."""
    packages = {p["id"]: p for p in metadata["packages"]}
    nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
    seen, todo = set(), list(metadata["workspace_members"])
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        package, on = packages[current], enabled(packages[current], nodes[current])
        always = {d["rename"] or d["name"] for d in package["dependencies"] if not d["optional"]}
        for dependency in nodes[current]["deps"]:
            name = packages[dependency["pkg"]]["name"]
            if {name, dependency["name"], dependency["name"].replace("_", "-")} & (always | on):
                todo.append(dependency["pkg"])
    return seen


def main():
    metadata, problems = json.load(sys.stdin), []
    built = compiled(metadata)
    for package in metadata["packages"]:
        if package["id"] not in built:
            continue
        name, licence = package["name"], package["license"]
        if name in BANNED:
            problems.append(f"{name}: banned: {BANNED[name]}")
        if not licence or not acceptable(licence):
            problems.append(f"{name} {package['version']}: licence {licence!r} is not on the list")
    if problems:
        sys.exit("licences.py:\n  " + "\n  ".join(problems))
    print(f"{len(built)} crates, all with licences we accept, none banned")


if __name__ == "__main__":
    main()
