//! The `INFO` line, first thing a client sees.

use serde::Serialize;

use crate::hub::Hub;
use crate::limits::{PROTO, VERSION};
use crate::peer::Peer;

#[derive(Serialize)]
struct Info<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u8,
    go: &'a str,
    host: String,
    port: u16,
    headers: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auth_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_available: bool,
    max_payload: usize,
    client_id: u64,
    client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(rename = "ldm", skip_serializing_if = "std::ops::Not::not")]
    lame_duck: bool,
}

/// The complete line for one client; the nonce is what nkey users sign.
pub(crate) fn line(hub: &Hub, peer: &Peer, nonce: Option<&str>) -> Vec<u8> {
    let tls = hub.tls();
    let info = Info {
        server_id: &hub.server_id,
        server_name: &hub.server_name,
        version: VERSION,
        proto: PROTO,
        go: "",
        host: hub.listen.ip().to_string(),
        port: hub.listen.port(),
        headers: true,
        auth_required: hub.auth().required(),
        tls_required: tls.as_ref().is_some_and(|tls| tls.required()),
        tls_verify: tls.as_ref().is_some_and(|tls| tls.verifies()),
        tls_available: tls.as_ref().is_some_and(|tls| !tls.required()),
        max_payload: hub.limits().max_payload,
        client_id: peer.id,
        client_ip: peer.addr.ip().to_string(),
        nonce,
        lame_duck: hub.lame_duck.get(),
    };
    let mut line = b"INFO ".to_vec();
    serde_json::to_writer(&mut line, &info).expect("plain data always serialises");
    line.extend_from_slice(b" \r\n");
    line
}
