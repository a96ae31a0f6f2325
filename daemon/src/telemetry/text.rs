//! Writes Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A page of metrics while it is written. Samples may come in any order; the page is sorted by name.
#[derive(Debug, Default)]
pub struct MetricsText {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    kind: MetricKind,
    help: String,
    samples: String,
}

impl MetricsText {
    /// Adds one sample.
    pub fn sample(&mut self, name: &str, kind: MetricKind, help: &str, labels: &[(&str, &str)], value: impl Display) {
        if !self.families.contains_key(name) {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            self.families.insert(name.to_owned(), Family { kind, help, samples: String::new() });
        }
        let Some(Family { samples, .. }) = self.families.get_mut(name) else { return };
        samples.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            samples.push(if index == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a String can't fail.
            let _ = write!(samples, "{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            samples.push('}');
        }
        let _ = writeln!(samples, " {value}");
    }

    /// A counter's sample.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.sample(name, MetricKind::Counter, help, labels, value);
    }

    /// A gauge's sample.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.sample(name, MetricKind::Gauge, help, labels, value);
    }

    /// The page.
    pub fn finish(self) -> String {
        let mut page = String::new();
        for (name, family) in self.families {
            let kind = match family.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            let _ = write!(page, "# HELP {name} {}\n# TYPE {name} {kind}\n{}", family.help, family.samples);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_each_metric_once_and_escapes_labels() {
        let mut page = MetricsText::default();
        page.counter("a_total", "how many", &[("connector", "x\"y\\\n")], 1);
        page.gauge("b", "now", &[], 3);
        page.counter("a_total", "how many", &[("connector", "z"), ("task", "0")], 2.5);
        assert_eq!(
            page.finish(),
            "# HELP a_total how many\n# TYPE a_total counter\na_total{connector=\"x\\\"y\\\\\\n\"} 1\n\
             a_total{connector=\"z\",task=\"0\"} 2.5\n# HELP b now\n# TYPE b gauge\nb 3\n"
        );
    }
}
