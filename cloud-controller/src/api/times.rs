//! Times on the wire.

/// Unix microseconds as RFC 3339 with seconds, the only form old clients parse.
pub(crate) fn rfc3339(micros: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_have_the_form_old_clients_parse() {
        assert_eq!(
            super::rfc3339(1_441_108_800_500_000),
            "2015-09-01T12:00:00Z"
        );
    }
}
