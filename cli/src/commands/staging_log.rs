//! The staging output that is printed while an app starts.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::error::CfError;
use crate::logs;

/// How a failing stage ends its output; the error of the command says it again.
pub(super) const VERDICT: &str = "Staging failed";

/// The reason in `Staging failed: REASON` and `Staging failed (KIND): REASON`.
fn verdict(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(VERDICT)?;
    let (kind, reason) = rest.split_once(": ")?;
    let named = kind.starts_with(" (") && kind.ends_with(')');
    (kind.is_empty() || named).then_some(reason)
}

/// The staging output being printed, and what tells it to come to an end.
pub(super) struct StagingLog {
    task: JoinHandle<Vec<String>>,
    done: tokio::sync::watch::Sender<bool>,
}

/// Prints `STG` lines until told to stop; without a log server the start goes on
/// and says so. Verdicts are held back: stager and host each write one.
pub(super) async fn follow(cx: &mut Context, app_guid: &str) -> Option<StagingLog> {
    let ui = cx.ui.clone();
    let mut stream = match logs::stream(&mut cx.client, app_guid).await {
        Ok(stream) => stream,
        Err(error) => {
            ui.warn(&format!("Warning: error tailing logs: {error}"));
            return None;
        }
    };
    let (done, mut told) = tokio::sync::watch::channel(false);
    let task = tokio::spawn(async move {
        let (mut ending, mut held) = (false, Vec::new());
        loop {
            let patience = match ending {
                true => Duration::from_millis(150),
                false => Duration::from_secs(86_400),
            };
            tokio::select! {
                line = tokio::time::timeout(patience, stream.next()) => match line {
                    Ok(Some(line)) if line.source_type == "STG" => {
                        let text = String::from_utf8_lossy(&line.message);
                        match verdict(text.trim_end()) {
                            Some(reason) => held.push(reason.to_owned()),
                            None => ui.say(text.trim_end()),
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return held,
                },
                changed = told.changed(), if !ending => ending = changed.is_ok() || ending,
            }
        }
    });
    Some(StagingLog { task, done })
}

/// Waits for the last lines; the verdicts come back.
pub(super) async fn finish(log: Option<StagingLog>) -> Vec<String> {
    let Some(StagingLog { task, done }) = log else {
        return Vec::new();
    };
    let _ = done.send(true);
    let ended = tokio::time::timeout(Duration::from_secs(2), task).await;
    ended.ok().and_then(Result::ok).unwrap_or_default()
}

/// The verdicts that the command's own error does not repeat.
pub(super) fn unsaid(mut verdicts: Vec<String>, staged: &Result<(), CfError>) -> Vec<String> {
    let error = match staged {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    };
    verdicts.dedup();
    verdicts.retain(|verdict| !error.contains(verdict.as_str()));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_told_from_other_lines() {
        assert_eq!(verdict("Staging failed: no gem"), Some("no gem"));
        assert_eq!(verdict("Staging failed (E): no: gem"), Some("no: gem"));
        assert_eq!(verdict("Staging failed again and again: x"), None);
    }

    #[test]
    fn a_verdict_is_said_once_by_the_error_or_by_the_log() {
        let failed = || {
            Err(CfError::Staging {
                app: "a".into(),
                reason: "BuildpackCompileFailed: no gem x".into(),
            })
        };
        let verdicts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        assert!(unsaid(verdicts(&["no gem x", "no gem x"]), &failed()).is_empty());
        assert_eq!(unsaid(verdicts(&["disk full"]), &failed()), ["disk full"]);
        assert_eq!(unsaid(verdicts(&["odd", "odd"]), &Ok(())), ["odd"]);
    }
}
