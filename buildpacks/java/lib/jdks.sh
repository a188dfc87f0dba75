# The Java runtimes of a container: what the operator registered (`runtimes` in the
# DEA's configuration, bound below /opt/runtimes/java) and the stack's own.

runtimes=${BLOOMERY_RUNTIMES:-/opt/runtimes}

# Version of the runtime in a directory, e.g. 17.0.15; 1.8.0_392 is told as 8.0_392.
jdk_version() {
  version=$(sed -n 's/^JAVA_VERSION="\(.*\)"$/\1/p' "$1/release" 2>/dev/null | head -n 1)
  echo "${version#1.}"
}

# Lines of `VERSION DIRECTORY`; the stack's own comes first.
jdks() {
  own=$(command -v java || true)
  if [ -n "$own" ]; then
    home=$(dirname "$(dirname "$(readlink -f "$own")")")
    echo "$(jdk_version "$home") $home"
  fi
  for home in "$runtimes"/java/*; do
    [ -x "$home/bin/java" ] && echo "$(jdk_version "$home") $home"
  done
  return 0
}

# The first runtime of a version: 17 takes any 17, 17.0.15 that one only.
jdk_of() {
  jdks | while read -r version home; do
    case $version in
      "$1" | "$1".* | "$1"+* | "$1"_*) echo "$version $home"; break ;;
    esac
  done
}
