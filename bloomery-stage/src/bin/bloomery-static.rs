//! `bloomery-static ROOT [--force-https]`: serves files on `$PORT`.

use std::process::ExitCode;

use bloomery_stage::static_server::{Options, serve};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap_or_else(|| "public".into());
    let options = Options {
        root: root.into(),
        force_https: args.any(|a| a == "--force-https"),
    };
    let port: u16 = match std::env::var("PORT").ok().and_then(|p| p.parse().ok()) {
        Some(port) => port,
        None => {
            eprintln!("bloomery-static: PORT is not set to a port number");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let served = runtime.and_then(|rt| {
        rt.block_on(async {
            let listener = tokio::net::TcpListener::bind(("0.0.0.0", port)).await?;
            println!("serving {} on port {port}", options.root.display());
            let mut term = signal(SignalKind::terminate())?;
            let stop = async move {
                let _ = term.recv().await;
            };
            serve(listener, options, stop).await;
            Ok(())
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bloomery-static: port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}
