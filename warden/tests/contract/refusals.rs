//! What is refused, and how.

use std::collections::BTreeMap;

use warden::{Backend, Error, JobId, Limits};

use super::plain_spec;

pub(crate) async fn unknown_jobs_and_handles_are_errors(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let job = JobId("j99".into());
    assert!(matches!(
        container.wait(&job).await,
        Err(Error::UnknownJob { .. })
    ));
    assert!(matches!(
        container.attach(&job, 1).await,
        Err(Error::UnknownJob { .. })
    ));
    assert!(matches!(
        backend.lookup("nobody").await,
        Err(Error::UnknownHandle(_))
    ));
    assert!(matches!(
        backend.destroy("nobody").await,
        Err(Error::UnknownHandle(_))
    ));
    let mut taken = plain_spec();
    taken.handle = Some(container.handle().to_owned());
    assert!(matches!(
        backend.create(taken).await,
        Err(Error::HandleTaken(_))
    ));
    backend.destroy(container.handle()).await.unwrap();
    assert!(matches!(
        backend.lookup(container.handle()).await,
        Err(Error::UnknownHandle(_))
    ));
}

pub(crate) async fn bad_handles_are_refused(backend: &dyn Backend) {
    for handle in ["", "..", "a/b", "-x", "a b", "a\nb", &"x".repeat(65)] {
        let mut spec = plain_spec();
        spec.handle = Some(handle.to_owned());
        let error = backend.create(spec).await.err();
        assert!(
            matches!(error, Some(Error::BadHandle(_))),
            "{handle:?}: {error:?}"
        );
    }
    assert!(backend.list(&BTreeMap::new()).await.unwrap().is_empty());
}

pub(crate) async fn figures_nothing_runs_with_are_refused(backend: &dyn Backend) {
    let mut spec = plain_spec();
    spec.limits.memory_bytes = Some(4096);
    let error = backend.create(spec).await.err().unwrap();
    assert!(
        matches!(
            error,
            Error::BadLimit {
                resource: "memory",
                ..
            }
        ),
        "{error}"
    );
    let container = backend.create(plain_spec()).await.unwrap();
    let zero = Limits {
        pids: Some(0),
        ..Limits::default()
    };
    let error = container.limit(&zero).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::BadLimit {
                resource: "pids",
                ..
            }
        ),
        "{error}"
    );
    backend.destroy(container.handle()).await.unwrap();
}
