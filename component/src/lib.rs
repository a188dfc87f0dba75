//! What every daemon does alike: config, tracing, serve, shutdown, announce and discover, status endpoints.
