//! The whole platform from one command.
