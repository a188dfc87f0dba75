//! The message-bus contract: subjects, message types, golden JSON, the one file that names async-nats.
