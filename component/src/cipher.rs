//! Encryption at rest of env values, credentials and signing keys: AES-256-GCM, a random nonce per value.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// Why a value could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum CipherError {
    /// The key has the wrong length.
    #[error("the encryption key must have 32 bytes")]
    Key,
    /// Sealing failed inside the library.
    #[error("a value could not be encrypted")]
    Seal,
    /// The stored text is damaged or was written with another key.
    #[error(
        "a stored value cannot be decrypted: it is damaged, or the shared secrets file is not the one it was written with"
    )]
    Open,
}

/// Seals texts with one key.
#[derive(Clone)]
pub struct Cipher(Arc<LessSafeKey>);

impl Cipher {
    /// A cipher with a 32-byte key.
    ///
    /// # Errors
    /// [`CipherError::Key`].
    pub fn new(key: &[u8]) -> Result<Cipher, CipherError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| CipherError::Key)?;
        Ok(Cipher(Arc::new(LessSafeKey::new(key))))
    }

    /// Encrypts; the result is base64 of nonce and ciphertext.
    ///
    /// # Errors
    /// [`CipherError::Seal`].
    pub fn seal(&self, clear: &str) -> Result<String, CipherError> {
        let nonce: [u8; 12] = rand::random();
        let mut sealed = clear.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .map_err(|_| CipherError::Seal)?;
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        Ok(STANDARD.encode(out))
    }

    /// Decrypts what [`Cipher::seal`] made.
    ///
    /// # Errors
    /// [`CipherError::Open`].
    pub fn open(&self, sealed: &str) -> Result<String, CipherError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| CipherError::Open)?;
        let (nonce, body) = bytes.split_at_checked(12).ok_or(CipherError::Open)?;
        let nonce: [u8; 12] = nonce.try_into().map_err(|_| CipherError::Open)?;
        let mut body = body.to_vec();
        let clear = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
            .map_err(|_| CipherError::Open)?;
        String::from_utf8(clear.to_vec()).map_err(|_| CipherError::Open)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_untouched() {
        let cipher = Cipher::new(&[7; 32]).unwrap();
        let sealed = cipher.seal("{\"PASSWORD\":\"hunter2\"}").unwrap();
        assert!(!sealed.contains("hunter2"));
        assert_eq!(cipher.open(&sealed).unwrap(), "{\"PASSWORD\":\"hunter2\"}");
        assert!(Cipher::new(&[8; 32]).unwrap().open(&sealed).is_err());
        let mut damaged = sealed.into_bytes();
        damaged[20] = if damaged[20] == b'A' { b'B' } else { b'A' };
        assert!(cipher.open(&String::from_utf8(damaged).unwrap()).is_err());
    }
}
