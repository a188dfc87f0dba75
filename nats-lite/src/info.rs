//! The `INFO` line, first thing a client sees.

use std::net::SocketAddr;

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
    max_payload: usize,
    client_id: u64,
    client_ip: String,
}

/// The complete line for one client.
pub(crate) fn line(hub: &Hub, listen: SocketAddr, peer: &Peer) -> Vec<u8> {
    let info = Info {
        server_id: &hub.server_id,
        server_name: &hub.server_name,
        version: VERSION,
        proto: PROTO,
        go: "",
        host: listen.ip().to_string(),
        port: listen.port(),
        headers: true,
        auth_required: hub.auth.required(),
        max_payload: hub.limits.max_payload,
        client_id: peer.id,
        client_ip: peer.addr.ip().to_string(),
    };
    let mut line = b"INFO ".to_vec();
    serde_json::to_writer(&mut line, &info).expect("plain data always serialises");
    line.extend_from_slice(b" \r\n");
    line
}
