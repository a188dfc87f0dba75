//! The RSA pair that signs tokens. Made once, kept in the store, so that tokens outlive the process.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::error::OpenError;

/// A pair ready for use.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

/// A new 2048-bit pair, as base64 of PKCS#8. Takes a noticeable part of a second: run it off the async threads.
pub(crate) fn generate() -> Result<String, OpenError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("generation failed"))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed("encoding failed"))?;
    Ok(STANDARD.encode(der.as_ref()))
}

/// Reads a stored pair.
pub(crate) fn load(kid: &str, pkcs8: &str) -> Result<SigningKey, OpenError> {
    let der = STANDARD
        .decode(pkcs8)
        .map_err(|error| failed(&error.to_string()))?;
    let pair = KeyPair::from_pkcs8(&der).map_err(|error| failed(&error.to_string()))?;
    let public = pair.public_key();
    let public_der: PublicKeyX509Der<'_> = public.as_der().map_err(|_| failed("public key"))?;
    Ok(SigningKey {
        kid: kid.to_owned(),
        private_pem: pem("PRIVATE KEY", &der),
        public_pem: pem("PUBLIC KEY", public_der.as_ref()),
        modulus: public.modulus().big_endian_without_leading_zero().to_vec(),
        exponent: public.exponent().big_endian_without_leading_zero().to_vec(),
    })
}

impl SigningKey {
    /// Modulus and exponent as a JSON Web Key wants them.
    pub(crate) fn jwk_parts(&self) -> (String, String) {
        (
            URL_SAFE_NO_PAD.encode(&self.modulus),
            URL_SAFE_NO_PAD.encode(&self.exponent),
        )
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn failed(what: &str) -> OpenError {
    OpenError::Key(what.to_owned())
}
