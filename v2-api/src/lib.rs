//! The HTTP contract: bodies, the metadata/entity envelope, the table of error codes.
