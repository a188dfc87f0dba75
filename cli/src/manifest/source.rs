//! Reads a manifest's text. What comes from elsewhere is bounded: size, encoding,
//! and in [`super::node`] depth, nodes and aliases.

use std::io::Read;
use std::path::Path;

use super::bad;
use crate::error::CfError;

/// No manifest that people write is longer.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// The text of a manifest file.
pub fn load(path: &Path) -> Result<String, CfError> {
    let file = std::fs::File::open(path).map_err(CfError::file(path))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(CfError::file(path))?;
    decode(path, bytes)
}

/// Text of bytes; says where they stop being text.
pub fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, CfError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(bad(
            path,
            1,
            format!("longer than {} KiB, which no manifest is", MAX_BYTES / 1024),
        ));
    }
    let line_at = |offset: usize| 1 + bytes[..offset].iter().filter(|b| **b == b'\n').count();
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let message = "a zero byte: this is a binary file, not a manifest";
        return Err(bad(path, line_at(at), message));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(e) => {
            let at = e.valid_up_to();
            let message = format!("byte {at} is no UTF-8: save the file as UTF-8 text");
            Err(bad(path, line_at(at), message))
        }
    }
}
