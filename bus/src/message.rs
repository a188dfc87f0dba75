//! What all messages have in common.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::Serialize;

/// A message that is always published on one subject. Messages with a directed
/// subject (`dea.<id>.start`) offer a `subject(id)` function instead.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The subject, written down once.
    const SUBJECT: &'static str;
}

/// Reads `null` as the type's default: the Ruby originals emit `null` for unset keys.
pub(crate) fn null_default<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}
