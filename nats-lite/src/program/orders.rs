//! From the command line to a configuration.

use std::net::SocketAddr;

use super::args::Args;
use crate::config::{self, Config, FileError, Tls, User};

/// File first, then environment, then flags.
pub(super) fn configure(args: &Args) -> Result<Config, String> {
    let path = args.config.as_deref();
    let mut config =
        config::load(path, std::env::vars_os()).map_err(|error| match (path, &error) {
            (Some(path), FileError::Syntax(_) | FileError::Problems(_)) => {
                format!("{}:\n{error}", path.display())
            }
            _ => error.to_string(),
        })?;
    take_places(args, &mut config);
    take_access(args, &mut config);
    config.ports_file_dir = args.ports_file_dir.clone().or(config.ports_file_dir);
    config.pid_file = args.pid.clone().or(config.pid_file);
    config.log_file = args.log.clone().or(config.log_file);
    config.server_name = args.name.clone().or(config.server_name);
    config.debug |= args.debug;
    config.trace |= args.trace > 0;
    match config.problems().as_slice() {
        [] => Ok(config),
        problems => Err(problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

fn take_places(args: &Args, config: &mut Config) {
    let port = |port: i32| u16::try_from(port).unwrap_or(0);
    if let Some(addr) = args.addr {
        config.listen.set_ip(addr);
    }
    if let Some(number) = args.port {
        config.listen.set_port(port(number));
    }
    if let Some(number) = args.http_port {
        config.http = Some(SocketAddr::new(config.listen.ip(), port(number)));
    }
}

fn take_access(args: &Args, config: &mut Config) {
    if let (Some(user), Some(password)) = (&args.user, &args.pass) {
        config.users = vec![User {
            user: user.clone(),
            password: password.clone(),
            ..User::default()
        }];
    }
    config.token = args.auth.clone().or(config.token.take());
    let files = [&args.tlscert, &args.tlskey, &args.tlscacert];
    if args.tls || args.tlsverify || files.iter().any(|file| file.is_some()) {
        let tls = config.tls.get_or_insert_with(Tls::default);
        let place = |target: &mut std::path::PathBuf, given: &Option<std::path::PathBuf>| {
            if let Some(given) = given {
                target.clone_from(given);
            }
        };
        place(&mut tls.cert_file, &args.tlscert);
        place(&mut tls.key_file, &args.tlskey);
        tls.ca_file = args.tlscacert.clone().or(tls.ca_file.take());
        tls.verify |= args.tlsverify;
    }
}
