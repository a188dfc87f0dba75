//! Which packages a stack has. Debian's priorities bring the rest along.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A selection of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// python, node, nginx and the tools buildpacks call
    Base,
    /// base and the runtimes of every system buildpack: go, ruby, java, php
    Lean,
    /// lean, compilers and the libraries that native extensions are built with
    Full,
}

const BASE: &[&str] = &[
    "ca-certificates",
    "curl",
    "unzip",
    "zip",
    "xz-utils",
    "bzip2",
    "rsync",
    "git",
    "procps",
    "iproute2",
    "netbase",
    "tzdata",
    "file",
    "python3",
    "python3-venv",
    "python3-pip",
    "nodejs",
    "nginx-light",
];

const LEAN: &[&str] = &[
    "jq",
    "locales",
    "ruby",
    "ruby-bundler",
    "golang-go",
    "openjdk-17-jre-headless",
    "php-cli",
    "php-fpm",
    "php-curl",
    "php-mbstring",
    "php-xml",
    "php-zip",
    "php-sqlite3",
];

const FULL: &[&str] = &[
    "build-essential",
    "pkg-config",
    "autoconf",
    "bison",
    "flex",
    "cmake",
    "openjdk-17-jdk-headless",
    "maven",
    "composer",
    "ruby-dev",
    "python3-dev",
    "php-mysql",
    "php-pgsql",
    "php-gd",
    "php-intl",
    "php-bcmath",
    "libssl-dev",
    "zlib1g-dev",
    "libffi-dev",
    "libyaml-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libpq-dev",
    "libmariadb-dev",
    "libxml2-dev",
    "libxslt1-dev",
    "libcurl4-openssl-dev",
    "libjpeg-dev",
    "libpng-dev",
    "imagemagick",
    "libjemalloc2",
    "libicu-dev",
    "libncurses-dev",
    "libgmp-dev",
    "uuid-dev",
    "libsasl2-dev",
    "libldap2-dev",
    "mercurial",
    "subversion",
    "wget",
    "gdb",
    "strace",
    "lsof",
    "psmisc",
    "dnsutils",
    "openssh-client",
];

impl Profile {
    /// The packages asked for by name.
    pub fn packages(self) -> Vec<&'static str> {
        let lists: &[&[&str]] = match self {
            Self::Base => &[BASE],
            Self::Lean => &[BASE, LEAN],
            Self::Full => &[BASE, LEAN, FULL],
        };
        lists.concat()
    }

    /// Room a build takes at its peak, packages and files together, in MB.
    pub fn needed_mb(self) -> u64 {
        match self {
            Self::Base => 900,
            Self::Lean => 2000,
            Self::Full => 4500,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Lean => "lean",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_holds_the_smaller_ones_and_names_nothing_twice() {
        let [base, lean, full] =
            [Profile::Base, Profile::Lean, Profile::Full].map(Profile::packages);
        assert!(base.iter().all(|p| lean.contains(p)) && lean.iter().all(|p| full.contains(p)));
        let mut once = full.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), full.len());
    }
}
