//! Writes Prometheus' text format.

use std::fmt::{Display, Write};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A page of metrics while it is written. Samples of one name must follow each other.
#[derive(Debug, Default)]
pub struct MetricsText {
    text: String,
    last: String,
}

impl MetricsText {
    /// Adds one sample.
    pub fn sample(&mut self, name: &str, kind: MetricKind, help: &str, labels: &[(&str, &str)], value: impl Display) {
        if self.last != name {
            let kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing to a String can't fail.
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            name.clone_into(&mut self.last);
        }
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_each_metric_once_and_escapes_labels() {
        let mut page = MetricsText::default();
        page.sample("a_total", MetricKind::Counter, "how many", &[("connector", "x\"y\\\n")], 1);
        page.sample("a_total", MetricKind::Counter, "how many", &[("connector", "z"), ("task", "0")], 2.5);
        page.sample("b", MetricKind::Gauge, "now", &[], 3);
        assert_eq!(
            page.finish(),
            "# HELP a_total how many\n# TYPE a_total counter\na_total{connector=\"x\\\"y\\\\\\n\"} 1\n\
             a_total{connector=\"z\",task=\"0\"} 2.5\n# HELP b now\n# TYPE b gauge\nb 3\n"
        );
    }
}
