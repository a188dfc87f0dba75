//! Where a buildpack given by URL is. Pure.

use crate::error::StageError;

/// How it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A git repository.
    Git,
    /// A zip archive.
    Zip,
}

/// A buildpack's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// How.
    pub kind: Kind,
    /// The URL without its fragment, credentials included.
    pub url: String,
    /// The fragment: branch, tag or commit.
    pub reference: Option<String>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Last part of the path without its extension.
    pub name: String,
}

impl Location {
    /// Reads the text after `-b`.
    pub fn parse(text: &str) -> Result<Self, StageError> {
        let refuse = |reason: &str| {
            Err(StageError::BadUrl {
                url: without_credentials(text),
                reason: reason.into(),
            })
        };
        let (url, reference) = match text.split_once('#') {
            Some((url, reference)) => (url, Some(reference)),
            None => (text, None),
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse(match url.contains('@') {
                true => "ssh is not possible: staging containers have no keys. Use the https URL",
                false => "it is neither an installed buildpack nor a URL",
            });
        };
        let default_port = match scheme {
            "https" => 443,
            "http" => 80,
            "file" => {
                return refuse(
                    "file:// would read files of the staging container, which has no such repository. Serve it over https",
                );
            }
            "ssh" | "git+ssh" => {
                return refuse(
                    "ssh is not possible: staging containers have no keys. Use the https URL",
                );
            }
            _ => return refuse("only http and https are fetched"),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Some((host, port)) = host_and_port(authority, default_port) else {
            return refuse("it names no host, or a port that is none");
        };
        let path = path
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        let kind = if last.ends_with(".zip") {
            Kind::Zip
        } else {
            Kind::Git
        };
        if last.ends_with(".tgz") || last.ends_with(".tar.gz") {
            return refuse("archives must be zip");
        }
        if let Some(reference) = reference
            && !is_reference(reference)
        {
            return refuse("what follows # must be a branch, a tag or a commit");
        }
        let name = last.trim_end_matches(".zip").trim_end_matches(".git");
        let is_plain = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !name.starts_with('.');
        Ok(Self {
            kind,
            url: url.into(),
            reference: reference.map(Into::into),
            host,
            port,
            name: if is_plain && !name.is_empty() {
                name.into()
            } else {
                "buildpack".into()
            },
        })
    }

    /// For messages: without credentials.
    pub fn shown(&self) -> String {
        without_credentials(&self.url)
    }
}

fn host_and_port(authority: &str, default: u16) -> Option<(String, u16)> {
    let authority = authority.rsplit('@').next()?;
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, default),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (!host.is_empty() && !host.starts_with('-') && host.chars().all(good))
        .then(|| (host.to_owned(), port))
}

/// What git takes as one word that is no flag.
fn is_reference(text: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && !"~^:?*[\\".contains(c);
    !text.is_empty() && !text.starts_with('-') && !text.contains("..") && text.chars().all(good)
}

fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.into();
    };
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, None), |(a, p)| (a, Some(p)));
    let host = authority.rsplit('@').next().unwrap_or_default();
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Location {
        Location::parse(text).expect("a good URL")
    }

    #[test]
    fn the_fragment_is_the_reference_and_the_ending_tells_archives() {
        let git = good("https://user:secret@git.example:8443/a/my-pack.git#v1.2");
        assert_eq!(
            (git.kind, git.host.as_str(), git.port),
            (Kind::Git, "git.example", 8443)
        );
        assert_eq!(
            (git.reference.as_deref(), git.name.as_str()),
            (Some("v1.2"), "my-pack")
        );
        assert_eq!(git.shown(), "https://git.example:8443/a/my-pack.git");
        let zip = good("http://10.0.0.1/x/pack.zip?token=1");
        assert_eq!(
            (zip.kind, zip.port, zip.name.as_str()),
            (Kind::Zip, 80, "pack")
        );
    }

    #[test]
    fn what_cannot_or_must_not_be_fetched_is_refused_with_the_reason() {
        for (text, reason) in [
            ("file:///etc", "file://"),
            ("ssh://git@host/x", "ssh is not possible"),
            ("git@host:x/y.git", "ssh is not possible"),
            ("git://host/x", "only http and https"),
            ("https:///x", "names no host"),
            ("https://h:99999/x", "names no host"),
            ("https://-oProxyCommand/x", "names no host"),
            (
                "https://h/x#--upload-pack=evil",
                "a branch, a tag or a commit",
            ),
            ("https://h/x#", "a branch, a tag or a commit"),
            ("https://h/x.tar.gz", "must be zip"),
            ("no-such", "neither an installed buildpack nor a URL"),
        ] {
            let error = Location::parse(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let error = Location::parse("ssh://me:secret@host/x")
            .expect_err("refused")
            .to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
