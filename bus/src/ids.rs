//! Ids in the shapes of the originals.

use uuid::Uuid;

/// A hyphenated UUID (36 characters): apps, processes, versions.
pub fn guid() -> String {
    Uuid::new_v4().to_string()
}

/// 32 hex digits: instance ids and staging task ids.
pub fn hex32() -> String {
    Uuid::new_v4().simple().to_string()
}

/// 64 hex digits: `private_instance_id`, the router's sticky key.
pub fn hex64() -> String {
    hex32() + &hex32()
}

/// `<index>-<32 hex>`: a DEA's id. The original made a new one at every start; ours
/// keeps it in its snapshot (docs/decisions/0003).
pub fn dea_id(index: u32) -> String {
    format!("{index}-{}", hex32())
}

/// `<index>-<uuid>`: a router's or controller's component id.
pub fn component_id(index: u32) -> String {
    format!("{index}-{}", guid())
}
