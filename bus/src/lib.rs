//! The message-bus contract of the DEA generation: every subject, one type per
//! message, one golden JSON file per message as the originals sent it, and a
//! typed client. Reading rules of the originals hold for every type: unknown
//! keys are ignored, `null` means absent.

mod message;
pub use message::Message;

pub mod component;
pub mod dea;
pub mod droplet;
pub mod health;
pub mod log;
pub mod router;
pub mod staging;

pub mod ids;
pub mod limits;
pub mod permissions;
pub mod server_config;
pub mod times;

mod client;
mod error;
#[doc(hidden)]
pub mod fuzzed;
pub use client::{Answer, Anything, Bus, BusConfig, Delivery, Subscription};
pub use error::BusError;
