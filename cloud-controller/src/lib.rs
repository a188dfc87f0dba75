//! The v2 API, the desired state, staging and placement decisions, the blobstore.
