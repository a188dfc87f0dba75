//! Programs of the stack, run with a limit.

use std::process::{Command, Stdio};

/// Status with which `timeout` reports that the limit is over.
pub const TIMED_OUT: i32 = 124;
/// Status with which it reports that there is no such program.
pub const MISSING: i32 = 127;

const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Variables in which the usual tools look for trusted certificates. Company
/// networks re-sign TLS, and several tools bring a bundle of their own.
const CA_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "BUNDLE_SSL_CA_CERT",
];

/// A program that is ended with its whole process group after `seconds`, which a
/// plain kill of the child would not do.
pub fn limited(seconds: u64) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", &seconds.to_string()])
        .stdin(Stdio::null());
    if std::path::Path::new(CA_BUNDLE).is_file() {
        // What the user set is meant.
        let missing = CA_VARIABLES
            .iter()
            .filter(|name| std::env::var_os(name).is_none());
        command.envs(missing.map(|name| (name, CA_BUNDLE)));
    }
    command
}
