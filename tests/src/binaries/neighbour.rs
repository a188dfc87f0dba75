//! Another machine: a network namespace with one private address, behind which a
//! directory is served. Containers reach it only if a rule lets them.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::wait::eventually;

const PORT: u16 = 8000;

/// The neighbour; gone with its link when dropped.
#[derive(Debug)]
pub struct Neighbour {
    name: String,
    address: String,
    server: Child,
}

impl Neighbour {
    /// Makes it and serves `directory` over plain HTTP.
    pub fn serving(directory: &Path) -> Self {
        let number = std::process::id() % 60_000;
        // Below the pool of container networks.
        let network = format!("10.253.{}.{}", number / 64 % 250, number % 64 * 4);
        let base = network.rsplit_once('.').expect("an address has dots");
        let last: u32 = base.1.parse().expect("a number was written");
        let (here, there) = (
            format!("{}.{}", base.0, last + 1),
            format!("{}.{}", base.0, last + 2),
        );
        let name = format!("story{number}");
        let (outer, inner) = (format!("sto{number}"), format!("sti{number}"));
        for line in [
            format!("netns add {name}"),
            format!("link add {outer} type veth peer name {inner} netns {name}"),
            format!("addr add {here}/30 dev {outer}"),
            format!("link set {outer} up"),
            format!("-n {name} addr add {there}/30 dev {inner}"),
            format!("-n {name} link set {inner} up"),
            format!("-n {name} route add default via {here}"),
        ] {
            ip(&line);
        }
        let port = PORT.to_string();
        let mut server = Command::new("ip");
        server.args([
            "netns",
            "exec",
            &name,
            "/usr/bin/python3",
            "-m",
            "http.server",
            &port,
            "--directory",
        ]);
        server
            .arg(directory)
            .env("PATH", path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = server.spawn().expect("ip netns exec can be run");
        let address = format!("{there}:{PORT}");
        let neighbour = Self {
            name,
            address,
            server,
        };
        eventually("the neighbour answers", || {
            TcpStream::connect(&neighbour.address)
        });
        neighbour
    }

    /// Its address and port, as a URL and `--allow` want them.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address alone.
    pub fn host(&self) -> &str {
        self.address.split(':').next().unwrap_or_default()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        // The link goes with the namespace.
        ip(&format!("netns del {}", self.name));
    }
}

fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

fn ip(line: &str) {
    let status = Command::new("ip")
        .args(line.split(' '))
        .env("PATH", path())
        .status();
    assert!(status.is_ok_and(|s| s.success()), "ip {line}");
}
