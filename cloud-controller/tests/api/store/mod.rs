//! What is kept: a database of an earlier version, several controllers on one database, blobs and their end.

mod blobs;
mod controllers;
mod fleet;
mod garbage;
mod suite;
mod upgrade;
