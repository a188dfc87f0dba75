//! Static programs bound into staging containers: the buildpack runner and the static file server.
