//! Connections that the staging container was refused: told in the log, and in the
//! error when the staging failed, with what permits them.

use std::time::Duration;

use warden::{Container, Refusal};

/// Most targets named in one message.
const MOST: usize = 5;

/// Targets refused within the last `age`. What the backend cannot say is no error.
pub async fn within(container: &dyn Container, age: Duration) -> Vec<Refusal> {
    let all = container.refused().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "refused connections not listed");
        Vec::new()
    });
    // Older ones are of an earlier container with this address.
    let mut recent: Vec<Refusal> = all
        .into_iter()
        .filter(|r| r.seconds_ago <= age.as_secs())
        .collect();
    recent.sort_by_key(|r| (r.address, r.port));
    recent.truncate(MOST);
    recent
}

/// What is said of them, nothing when there are none.
pub fn worded(refusals: &[Refusal]) -> Option<String> {
    let targets: Vec<String> = refusals
        .iter()
        .map(|r| format!("{}:{} ({})", r.address, r.port, r.protocol))
        .collect();
    let flags: Vec<String> = refusals
        .iter()
        .filter(|r| r.protocol == "tcp")
        .map(|r| format!(" --allow {}:{}", r.address, r.port))
        .collect();
    if targets.is_empty() {
        return None;
    }
    let mut text = format!("Staging was refused connections to {}", targets.join(", "));
    if !flags.is_empty() {
        text += &format!(
            "; the operator permits them with: bloomery up{}",
            flags.concat()
        );
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_the_address_and_the_command() {
        let refusal = |port, protocol: &str| Refusal {
            address: [10, 1, 2, 3].into(),
            port,
            protocol: protocol.into(),
            seconds_ago: 0,
        };
        let text = worded(&[refusal(443, "tcp"), refusal(123, "udp")]).expect("some");
        assert_eq!(
            text,
            "Staging was refused connections to 10.1.2.3:443 (tcp), 10.1.2.3:123 (udp); \
             the operator permits them with: bloomery up --allow 10.1.2.3:443"
        );
        assert_eq!(worded(&[]), None);
    }
}
