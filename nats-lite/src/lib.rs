//! A small server that speaks the NATS protocol.
