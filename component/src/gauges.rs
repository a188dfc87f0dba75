//! Numbers of a `/varz` page as Prometheus gauges, so that a figure is computed in one place and read in two.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::{Map, Value};

/// Reads the page when Prometheus asks; nested keys are joined by `_`, texts and lists are left out.
pub struct Gauges {
    prefix: &'static str,
    page: Arc<dyn Fn() -> Map<String, Value> + Send + Sync>,
}

impl Gauges {
    /// Gauges named `<prefix>_<key>`.
    pub fn new(
        prefix: &'static str,
        page: impl Fn() -> Map<String, Value> + Send + Sync + 'static,
    ) -> Self {
        Self {
            prefix,
            page: Arc::new(page),
        }
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gauges({})", self.prefix)
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, value) in numbers(self.prefix, &(self.page)()) {
            let gauge = ConstGauge::new(value);
            let help = format!("{name} of /varz");
            gauge.encode(encoder.encode_descriptor(&name, &help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// Names and values of all numbers in the page, `true` being 1.
fn numbers(prefix: &str, page: &Map<String, Value>) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for (key, value) in page {
        let name = format!("{prefix}_{key}");
        match value {
            Value::Object(inner) => found.extend(numbers(&name, inner)),
            Value::Bool(yes) => found.push((name, f64::from(u8::from(*yes)))),
            other => found.extend(other.as_f64().map(|number| (name, number))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_numbers_become_flat_names_and_texts_are_left_out() {
        let Value::Object(page) =
            json!({"up": true, "name": "x", "logs": {"lost": 2, "kept": [1]}})
        else {
            panic!("an object");
        };
        assert_eq!(
            numbers("cc", &page),
            [("cc_up".to_owned(), 1.0), ("cc_logs_lost".to_owned(), 2.0)]
        );
    }
}
