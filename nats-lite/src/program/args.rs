//! The command line: the flags of `nats-server`, and a few of our own.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

/// The last paragraph of `--help`.
const OVERRIDES: &str = "Every key of the file can also come from the environment: NATS_LITE__LISTEN=127.0.0.1:0, \
    NATS_LITE__LIMITS__MAX_PAYLOAD=2048, lists as YAML: NATS_LITE__USERS='[{user: a, password: b}]'. \
    The environment wins over the file, flags win over both. Names may follow one dash or two.";

/// A small server that speaks the NATS protocol.
#[derive(Debug, Parser)]
#[command(name = "nats-lite", version, disable_version_flag = true, after_help = OVERRIDES)]
pub(super) struct Args {
    /// Address to listen on
    #[arg(short, long, visible_alias = "net", value_parser = address)]
    pub(super) addr: Option<IpAddr>,
    /// Port for clients; -1 takes a free one
    #[arg(short, long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=65535))]
    pub(super) port: Option<i32>,
    /// Name of the server in INFO
    #[arg(short = 'n', long, visible_alias = "server_name")]
    pub(super) name: Option<String>,
    /// Port for /varz, /connz, /subsz, /routez, /healthz and /metrics; -1 takes a free one
    #[arg(short = 'm', long = "http_port", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=65535))]
    pub(super) http_port: Option<i32>,
    /// YAML, or the syntax of nats-server
    #[arg(short, long, env = "NATS_LITE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The only user, in place of the file's list
    #[arg(long, env = "NATS_LITE_USER", requires = "pass")]
    pub(super) user: Option<String>,
    /// That user's password; better given in the environment or the file than here
    #[arg(
        long,
        env = "NATS_LITE_PASSWORD",
        hide_env_values = true,
        requires = "user"
    )]
    pub(super) pass: Option<String>,
    /// A token that opens without a user name; better given in the file than here
    #[arg(long)]
    pub(super) auth: Option<String>,
    /// Offer TLS only; needs --tlscert and --tlskey
    #[arg(long)]
    pub(super) tls: bool,
    /// Certificate of the server, PEM
    #[arg(long)]
    pub(super) tlscert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long)]
    pub(super) tlskey: Option<PathBuf>,
    /// Only clients with a certificate of --tlscacert
    #[arg(long)]
    pub(super) tlsverify: bool,
    /// Authorities of client certificates, PEM
    #[arg(long)]
    pub(super) tlscacert: Option<PathBuf>,
    /// Directory for the file that names the ports
    #[arg(long = "ports_file_dir")]
    pub(super) ports_file_dir: Option<PathBuf>,
    /// File for the process id
    #[arg(short = 'P', long = "pid")]
    pub(super) pid: Option<PathBuf>,
    /// File for the log in place of standard error
    #[arg(short = 'l', long = "log")]
    pub(super) log: Option<PathBuf>,
    /// Log at debug level
    #[arg(short = 'D', long)]
    pub(super) debug: bool,
    /// Log at trace level; twice changes nothing
    #[arg(short = 'V', long, action = clap::ArgAction::Count)]
    pub(super) trace: u8,
    /// Lines of the log carry the time; always so
    #[arg(short = 'T', long, hide = true)]
    logtime: bool,
    /// Send a signal to a running server: ldm, stop, quit, term, reopen, reload; PID may be a pid file
    #[arg(long, value_name = "SIGNAL[=PID]")]
    pub(super) signal: Option<String>,
    /// Print the version and exit
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// Check the configuration file and exit
    #[arg(short = 't')]
    pub(super) test_config: bool,
    /// Check the configuration of all sources and exit
    #[arg(long = "check-config")]
    pub(super) check_config: bool,
    /// Print the effective configuration, secrets hidden, and exit
    #[arg(long = "print-config")]
    pub(super) print_config: bool,
    /// About flags of the original that do nothing here.
    #[arg(skip)]
    pub(super) warnings: Vec<String>,
}

impl Args {
    /// Reads the command line; ends the process for `--help`, `--version` and mistakes.
    pub(super) fn read(arguments: impl Iterator<Item = OsString>) -> Self {
        match sort_out(arguments) {
            Ok((arguments, warnings)) => Self {
                warnings,
                ..Self::parse_from(arguments)
            },
            Err(why) => Self::command()
                .error(ErrorKind::UnknownArgument, why)
                .exit(),
        }
    }
}

/// A flag of `nats-server` that is not one of ours.
struct Foreign {
    names: &'static [&'static str],
    takes_value: bool,
    /// What is missed without it; a server that only lacks a convenience starts with a warning.
    missed: Result<&'static str, &'static str>,
}

const fn foreign(
    names: &'static [&'static str],
    takes_value: bool,
    missed: Result<&'static str, &'static str>,
) -> Foreign {
    Foreign {
        names,
        takes_value,
        missed,
    }
}

const NO_CLUSTER: Result<&str, &str> = Err("clients of the other servers would not be heard");

/// `Ok`: accepted with this reason why nothing follows from it. `Err`: refused with this reason.
const FOREIGN: &[Foreign] = &[
    foreign(
        &["s", "syslog"],
        false,
        Ok("the log goes to standard error or --log"),
    ),
    foreign(
        &["r", "remote_syslog"],
        true,
        Ok("the log goes to standard error or --log"),
    ),
    foreign(
        &["log_size_limit"],
        true,
        Ok("rotate the file outside and send SIGUSR1"),
    ),
    foreign(
        &["max_traced_msg_len"],
        true,
        Ok("messages are never logged"),
    ),
    foreign(
        &["client_advertise"],
        true,
        Ok("a single server advertises nobody"),
    ),
    foreign(&["sd", "store_dir"], true, Ok("nothing is stored")),
    foreign(&["profile"], true, Ok("there is no profiler")),
    foreign(&["no_advertise"], true, Ok("there are no other servers")),
    foreign(&["connect_retries"], true, Ok("there are no other servers")),
    foreign(
        &["cluster_advertise"],
        true,
        Ok("there are no other servers"),
    ),
    foreign(&["cluster_name"], true, Ok("there are no other servers")),
    foreign(&["help_tls"], false, Ok("see docs/bus.md for TLS")),
    foreign(&["ms", "https_port"], true, Err("monitoring has no TLS")),
    foreign(
        &["js", "jetstream"],
        false,
        Err("messages would not be kept"),
    ),
    foreign(&["routes"], true, NO_CLUSTER),
    foreign(&["cluster"], true, NO_CLUSTER),
    foreign(&["cluster_listen"], true, NO_CLUSTER),
];

/// Ours as clap wants them, and warnings about those that do nothing here; or why the server must not start.
fn sort_out(
    arguments: impl Iterator<Item = OsString>,
) -> Result<(Vec<OsString>, Vec<String>), String> {
    let (mut ours, mut warnings) = (Vec::new(), Vec::new());
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let Some((flag, value)) = argument.to_str().and_then(foreign_flag) else {
            ours.extend(as_ours(argument));
            continue;
        };
        let name = flag.names[flag.names.len() - 1];
        if flag.takes_value && value.is_none() {
            arguments.next();
        }
        match flag.missed {
            _ if value == Some("false") => {}
            Ok(why) => warnings.push(format!("--{name} has no effect in nats-lite: {why}")),
            Err(why) => {
                return Err(format!(
                    "nats-lite does not have --{name}, and {why}; run nats-server instead"
                ));
            }
        }
    }
    Ok((ours, warnings))
}

fn foreign_flag(argument: &str) -> Option<(&'static Foreign, Option<&str>)> {
    let word = argument.trim_start_matches('-');
    if !(1..=2).contains(&(argument.len() - word.len())) {
        return None;
    }
    let (name, value) = word
        .split_once('=')
        .map_or((word, None), |(name, value)| (name, Some(value)));
    let flag = FOREIGN.iter().find(|flag| flag.names.contains(&name))?;
    Some((flag, value))
}

fn address(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    match text {
        "localhost" => "127.0.0.1".parse(),
        other => other.parse(),
    }
}

/// Names that `nats-server` knows with one dash as well as with two.
const NAMES: [&str; 25] = [
    "addr",
    "net",
    "port",
    "name",
    "server_name",
    "http_port",
    "config",
    "user",
    "pass",
    "auth",
    "tls",
    "tlscert",
    "tlskey",
    "tlsverify",
    "tlscacert",
    "ports_file_dir",
    "pid",
    "log",
    "debug",
    "trace",
    "logtime",
    "signal",
    "version",
    "help",
    "sl",
];

/// One argument as clap wants it: two dashes before names, and switches without `=true`.
fn as_ours(argument: OsString) -> Option<OsString> {
    let Some(text) = argument.to_str() else {
        return Some(argument);
    };
    let word = text.trim_start_matches('-');
    let dashes = text.len() - word.len();
    let (name, value) = word
        .split_once('=')
        .map_or((word, None), |(n, v)| (n, Some(v)));
    let short = dashes == 1 && ["T", "D", "V", "t", "v"].contains(&name);
    match value {
        Some("true") if short => return Some(format!("-{name}").into()),
        Some("false") if short => return None,
        _ => {}
    }
    if !(1..=2).contains(&dashes) || !NAMES.contains(&name) {
        return Some(argument);
    }
    let name = if name == "sl" { "signal" } else { name };
    let switch = ["tls", "tlsverify", "debug", "trace", "logtime", "version"].contains(&name);
    match value {
        Some("true") if switch => Some(format!("--{name}").into()),
        Some("false") if switch => None,
        Some(value) => Some(format!("--{name}={value}").into()),
        None => Some(format!("--{name}").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(line: &str) -> Args {
        let words = std::iter::once("nats-lite").chain(line.split(' '));
        Args::read(words.map(OsString::from))
    }

    #[test]
    fn names_may_follow_one_dash_or_two() {
        let args = read("-addr 127.0.0.1 -p -1 -m -1 -config=x.conf --debug=true --trace=false");
        assert_eq!(
            args.addr.map(|ip| ip.to_string()).as_deref(),
            Some("127.0.0.1")
        );
        assert_eq!((args.port, args.http_port), (Some(-1), Some(-1)));
        assert_eq!(args.config, Some("x.conf".into()));
        assert_eq!((args.debug, args.trace), (true, 0));
    }

    #[test]
    fn flags_of_the_original_do_nothing_or_are_refused_with_the_reason() {
        let words = |line: &str| {
            line.split(' ')
                .map(OsString::from)
                .collect::<Vec<_>>()
                .into_iter()
        };
        let (ours, warnings) = sort_out(words(
            "-s -sd /x --profile=6060 -T=false -D=true -p 4 --syslog=false -js=false",
        ))
        .unwrap();
        assert_eq!(ours, ["-D", "-p", "4"]);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        for (line, part) in [
            ("-js", "kept"),
            ("--https_port 8222", "TLS"),
            ("-routes nats://x", "other servers"),
        ] {
            let why = sort_out(words(line)).unwrap_err();
            assert!(why.contains(part) && why.contains("nats-server"), "{why}");
        }
    }

    #[test]
    fn short_flags_join_and_repeat() {
        let args = read("-DVV -net localhost -sl reload=7 -P x.pid -l x.log -n me -t");
        assert!(args.debug && args.trace == 2 && args.test_config);
        assert_eq!(args.signal.as_deref(), Some("reload=7"));
        assert_eq!(
            (args.pid, args.log),
            (Some("x.pid".into()), Some("x.log".into()))
        );
    }
}
