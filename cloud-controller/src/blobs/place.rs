//! Where each kind of blob lies.

/// Characters of a guid.
const GUID: usize = 36;

/// Where a blob is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One file of an app, by its sha1.
    Resource(String),
    /// An app package, by its sha1.
    Package(String),
    /// The sha1s of the files in an app package, by the package's.
    Manifest(String),
    /// A droplet: app guid, sha1.
    Droplet(String, String),
    /// A build cache: app guid, stack name.
    BuildpackCache(String, String),
    /// A buildpack: guid, sha1.
    Buildpack(String, String),
}

impl Place {
    pub(super) fn path(&self) -> object_store::path::Path {
        let (folder, key) = match self {
            Place::Resource(sha1) => ("cc-resources", sha1.clone()),
            Place::Package(sha1) => ("cc-packages", sha1.clone()),
            Place::Manifest(sha1) => ("cc-manifests", sha1.clone()),
            Place::Droplet(app, sha1) => ("cc-droplets", format!("{app}/{sha1}")),
            Place::BuildpackCache(app, stack) => {
                ("cc-droplets/buildpack_cache", format!("{app}-{stack}"))
            }
            Place::Buildpack(guid, sha1) => ("cc-buildpacks", format!("{guid}_{sha1}")),
        };
        let key = key.to_lowercase();
        let part = |from: usize| key.get(from..from + 2).unwrap_or("__").to_owned();
        object_store::path::Path::from(format!("{folder}/{}/{}/{key}", part(0), part(2)))
    }

    /// The place behind a stored path: what [`Place::path`] made of a resource, package, droplet or build cache.
    pub(super) fn parse(path: &str) -> Option<Place> {
        match path.split('/').collect::<Vec<_>>()[..] {
            ["cc-resources", _, _, sha1] => Some(Place::Resource(sha1.to_owned())),
            ["cc-packages", _, _, sha1] => Some(Place::Package(sha1.to_owned())),
            ["cc-manifests", _, _, sha1] => Some(Place::Manifest(sha1.to_owned())),
            ["cc-droplets", "buildpack_cache", _, _, key] => {
                let (app, stack) = key.split_at_checked(GUID)?;
                let stack = stack.strip_prefix('-')?;
                Some(Place::BuildpackCache(app.to_owned(), stack.to_owned()))
            }
            ["cc-droplets", _, _, app, sha1] => {
                Some(Place::Droplet(app.to_owned(), sha1.to_owned()))
            }
            _ => None,
        }
    }

    /// The sha1 the content must have, where the key says it.
    pub(super) fn sha1(&self) -> Option<&str> {
        match self {
            Place::Resource(sha1)
            | Place::Package(sha1)
            | Place::Droplet(_, sha1)
            | Place::Buildpack(_, sha1) => Some(sha1),
            Place::Manifest(_) | Place::BuildpackCache(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_path_leads_back_to_its_place() {
        let app = "0f0e0d0c-0000-4000-8000-000000000001".to_owned();
        for place in [
            Place::Resource("ab".repeat(20)),
            Place::Package("ab".repeat(20)),
            Place::Manifest("ab".repeat(20)),
            Place::Droplet(app.clone(), "cd".repeat(20)),
            Place::BuildpackCache(app, "host".into()),
        ] {
            assert_eq!(Place::parse(place.path().as_ref()), Some(place));
        }
        let kept = Place::Buildpack("g".into(), "ab".repeat(20));
        assert_eq!(Place::parse(kept.path().as_ref()), None);
    }
}
