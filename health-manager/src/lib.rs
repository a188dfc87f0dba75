//! Compares what should run with what does run.
