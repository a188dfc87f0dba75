//! Bandwidth is limited in both directions, shown, changed and taken away.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

use warden::{Bandwidth, Container, Limits, PortMapping, ProcessSpec};

use crate::contract::{plain_spec, started, until};
use crate::linux;

/// Sends back 3 MB for every connection after it received 3 MB.
const SERVER: &str = "exec python3 -c 'import os,socket
s=socket.socket(); s.bind((\"\", int(os.environ[\"PORT\"]))); s.listen(5); print(\"up\", flush=True)
while True:
    c,_=s.accept(); left=3000000
    while left > 0: left -= len(c.recv(65536))
    c.sendall(b\"r\"); c.sendall(b\"x\"*3000000); c.close()'";

async fn serve(container: &Arc<dyn Container>) -> PortMapping {
    let port = container.net_in(None).await.unwrap();
    let mut job = ProcessSpec::script(SERVER);
    job.env = vec![("PORT".into(), port.container_port.to_string())];
    started(container, job).await;
    port
}

/// Seconds for 3 MB in, and for 3 MB out.
async fn transfer(port: u16) -> (f64, f64) {
    let moved = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let began = Instant::now();
        stream.write_all(&vec![b'y'; 3_000_000]).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let received = began.elapsed().as_secs_f64();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 3_000_000);
        (received, began.elapsed().as_secs_f64() - received)
    });
    moved.await.unwrap()
}

fn limit(rate_bytes: u64) -> Limits {
    Limits {
        bandwidth: Some(Bandwidth {
            rate_bytes,
            burst_bytes: 100_000,
        }),
        ..Limits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bandwidth_is_limited_both_ways_and_can_be_changed() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits = limit(2_000_000);
    let container = fixture.backend.create(spec).await.unwrap();
    let shown = container.info().await.unwrap().limits.bandwidth;
    assert_eq!(shown, limit(2_000_000).bandwidth);
    let port = serve(&container).await;
    // A lower bound of time is no race: the bucket cannot give more than it has.
    let (received, sent) = transfer(port.host_port).await;
    assert!(received > 1.0 && sent > 1.0, "{received} {sent}");
    container.limit(&limit(20_000_000)).await.unwrap();
    until("the higher rate is felt", async || {
        transfer(port.host_port).await.0 < received
    })
    .await;
    container.limit(&limit(0)).await.unwrap();
    assert_eq!(container.info().await.unwrap().limits.bandwidth, None);
    transfer(port.host_port).await;
    let small = Limits {
        bandwidth: Some(Bandwidth {
            rate_bytes: 1000,
            burst_bytes: 1,
        }),
        ..Limits::default()
    };
    let error = container.limit(&small);
    assert!(matches!(
        error.await,
        Err(warden::Error::BadLimit {
            resource: "bandwidth burst",
            ..
        })
    ));
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}
