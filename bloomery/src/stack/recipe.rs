//! What a build is made of. Two builds with the same recipe differ only by what the
//! package archive had at the time.

use std::path::PathBuf;

use sha1::{Digest, Sha1};

use super::profile::Profile;

/// Raise when the steps of the build change.
const VERSION: u32 = 1;
/// uid and gid of `vcap` in every container.
pub const VCAP: u32 = 2000;

/// The ingredients.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Selection of packages.
    pub profile: Profile,
    /// Text of the apt sources.
    pub sources: String,
    /// The host's certificate bundle, when it has one: in networks that re-sign TLS
    /// nothing could be fetched from inside without it.
    pub ca_bundle: Option<PathBuf>,
    /// Its content.
    pub ca_text: Vec<u8>,
}

impl Recipe {
    /// Digest of everything that decides about the result.
    pub fn id(&self) -> String {
        let mut hash = Sha1::new();
        hash.update(format!(
            "{VERSION}\n{VCAP}\n{}\n",
            self.profile.packages().join(" ")
        ));
        hash.update(&self.sources);
        hash.update(&self.ca_text);
        hex::encode(hash.finalize())
    }

    /// Shell lines run before packages are unpacked; `$1` is the new root.
    pub fn before(&self, archives: &std::path::Path) -> String {
        // Java's packages want man1 although manual pages are left out.
        format!(
            r#"mkdir -p "$1/usr/share/man/man1" "$1/var/cache/apt/archives" && find {} -maxdepth 1 -name '*.deb' -exec ln -t "$1/var/cache/apt/archives" {{}} +"#,
            quoted(&archives.display().to_string())
        )
    }

    /// Shell lines run when all packages are set up; `$1` is the new root.
    pub fn after(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                r#"chroot "$1" groupadd -g {VCAP} vcap && chroot "$1" useradd -u {VCAP} -g vcap -m -s /bin/bash vcap"#
            ),
            r#"mkdir -p "$1/home/vcap/app" && chroot "$1" chown vcap:vcap /home/vcap/app && rm -rf "$1/app" && ln -s /home/vcap/app "$1/app""#.into(),
            r#"if [ -x "$1/usr/bin/localedef" ] && [ -e "$1/usr/share/i18n/locales/en_US" ]; then chroot "$1" localedef -i en_US -f UTF-8 en_US.UTF-8; fi"#.into(),
            r#"rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*.log "$1"/var/log/apt "$1"/var/cache/debconf/*-old"#.into(),
            r#": > "$1/etc/machine-id"; rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; : > "$1/etc/resolv.conf"; : > "$1/etc/hostname""#.into(),
        ];
        if let Some(bundle) = &self.ca_bundle {
            let bundle = quoted(&bundle.display().to_string());
            lines.push(format!(
                r#"cp {bundle} "$1/etc/ssl/certs/ca-certificates.crt""#
            ));
        }
        lines
    }
}

/// A word that the shell takes literally.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            profile: Profile::Base,
            sources: "deb a".into(),
            ca_bundle: Some("/etc/it's.crt".into()),
            ca_text: b"one".to_vec(),
        }
    }

    #[test]
    fn every_ingredient_changes_the_id() {
        let same = recipe().id();
        assert_eq!(recipe().id(), same);
        let others = [
            Recipe {
                profile: Profile::Lean,
                ..recipe()
            },
            Recipe {
                sources: "deb b".into(),
                ..recipe()
            },
            Recipe {
                ca_text: b"two".to_vec(),
                ..recipe()
            },
        ];
        assert!(others.iter().all(|other| other.id() != same));
    }

    #[test]
    fn paths_with_quotes_stay_one_word() {
        let lines = recipe().after().join("\n");
        assert!(lines.contains(r"'/etc/it'\''s.crt'"), "{lines}");
    }
}
