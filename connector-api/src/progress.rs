//! How far a task has come, as it tells people.

use serde_json::{Map, Value as Json, json};

/// A part of a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many are done.
    pub done: u64,
    /// How many there are; `None` when that is not known, and it may be an estimate.
    pub total: Option<u64>,
}

/// One table, file or the like of a [`Progress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemProgress {
    /// Its name.
    pub name: String,
    /// Its rows, lines or the like.
    pub rows: Done,
    /// Whether nothing of it is left.
    pub finished: bool,
}

/// A number of the task's own, which becomes a gauge of `/metrics` as `levada_connect_task_NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Its name, of small letters, digits and `_`; what else is in it becomes `_`.
    pub name: String,
    /// Labels beside connector and task.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: i64,
}

/// How far a task has come. Shown as it is: never a secret (invariant 12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it does now: `snapshot`, `streaming`.
    pub phase: String,
    /// Tables, files or the like.
    pub tables: Option<Done>,
    /// Rows of all of them.
    pub rows: Option<Done>,
    /// Time until the phase is done, by the task's own estimate.
    pub eta_ms: Option<u64>,
    /// How old the newest change is that it has handed on.
    pub lag_ms: Option<u64>,
    /// How many bytes the outside world holds that it has not handed on.
    pub lag_bytes: Option<u64>,
    /// The parts that are being worked on; those that are not begun or are done may be left out.
    pub items: Vec<ItemProgress>,
    /// Numbers of its own.
    pub gauges: Vec<Gauge>,
}

/// Items that are kept of one progress (invariant 9).
const MAX_ITEMS: usize = 1000;
/// Gauges that are kept of one progress (invariant 9).
const MAX_GAUGES: usize = 100;

impl Done {
    /// How much of the whole is done, when that is known.
    pub fn percent(&self) -> Option<f64> {
        let total = self.total?;
        // An estimate may be passed.
        Some(if total == 0 { 100.0 } else { (self.done as f64 * 100.0 / total as f64).min(100.0) })
    }

    fn json(self) -> Json {
        json!({ "done": self.done, "total": self.total })
    }

    fn from_json(json: &Json) -> Option<Self> {
        Some(Self { done: json.get("done")?.as_u64()?, total: json.get("total").and_then(Json::as_u64) })
    }
}

impl Gauge {
    fn json(&self) -> Json {
        let labels: Map<String, Json> = self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({ "name": self.name, "labels": labels, "value": self.value })
    }

    fn from_json(json: &Json) -> Option<Self> {
        let label = |(name, value): (&String, &Json)| Some((name.clone(), value.as_str()?.to_owned()));
        Some(Self {
            name: json.get("name")?.as_str()?.to_owned(),
            labels: json.get("labels").and_then(Json::as_object).into_iter().flatten().filter_map(label).collect(),
            value: json.get("value")?.as_i64()?,
        })
    }
}

impl Progress {
    /// How much of the phase is done: by rows, else by tables.
    pub fn percent(&self) -> Option<f64> {
        let by = |done: Option<Done>| done.and_then(|done| done.percent());
        by(self.rows).or_else(|| by(self.tables))
    }

    /// Keeps no more items than may be kept.
    pub fn bounded(mut self) -> Self {
        self.items.truncate(MAX_ITEMS);
        self.gauges.truncate(MAX_GAUGES);
        self
    }

    /// As REST answers and the plugin ABI carry it.
    pub fn to_json(&self) -> Json {
        let item =
            |item: &ItemProgress| json!({ "name": item.name, "rows": item.rows.json(), "finished": item.finished });
        json!({
            "phase": self.phase,
            "percent": self.percent(),
            "tables": self.tables.map(Done::json),
            "rows": self.rows.map(Done::json),
            "eta_ms": self.eta_ms,
            "lag_ms": self.lag_ms,
            "lag_bytes": self.lag_bytes,
            "items": self.items.iter().map(item).collect::<Vec<_>>(),
            "gauges": self.gauges.iter().map(Gauge::json).collect::<Vec<_>>(),
        })
    }

    /// The reverse of [`Progress::to_json`]; what is missing or of another type is not known.
    pub fn from_json(json: &Map<String, Json>) -> Self {
        let number = |key: &str| json.get(key).and_then(Json::as_u64);
        let done = |key: &str| json.get(key).and_then(Done::from_json);
        let item = |item: &Json| {
            Some(ItemProgress {
                name: item.get("name")?.as_str()?.to_owned(),
                rows: item.get("rows").and_then(Done::from_json).unwrap_or_default(),
                finished: item.get("finished").and_then(Json::as_bool).unwrap_or(false),
            })
        };
        let gauges = json.get("gauges").and_then(Json::as_array).into_iter().flatten();
        let items = json.get("items").and_then(Json::as_array).into_iter().flatten();
        Self {
            phase: json.get("phase").and_then(Json::as_str).unwrap_or_default().to_owned(),
            tables: done("tables"),
            rows: done("rows"),
            eta_ms: number("eta_ms"),
            lag_ms: number("lag_ms"),
            lag_bytes: number("lag_bytes"),
            items: items.filter_map(item).take(MAX_ITEMS).collect(),
            gauges: gauges.filter_map(Gauge::from_json).take(MAX_GAUGES).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_its_json() {
        let progress = Progress {
            phase: "snapshot".to_owned(),
            tables: Some(Done { done: 1, total: Some(4) }),
            rows: Some(Done { done: 30, total: Some(120) }),
            eta_ms: Some(9),
            lag_ms: None,
            lag_bytes: Some(7),
            items: vec![ItemProgress {
                name: "public.t".to_owned(),
                rows: Done { done: 30, total: None },
                finished: false,
            }],
            gauges: vec![Gauge {
                name: "slot_bytes".to_owned(),
                labels: vec![("slot".to_owned(), "s".to_owned())],
                value: -5,
            }],
        };
        let json = progress.to_json();
        assert_eq!(json["percent"], 25.0);
        assert_eq!(Progress::from_json(json.as_object().unwrap()), progress);
        assert_eq!(Progress::from_json(&Map::new()), Progress::default());
    }

    #[test]
    fn estimates_may_be_passed_and_nothing_is_done_at_once() {
        assert_eq!(Done { done: 5, total: Some(4) }.percent(), Some(100.0));
        assert_eq!(Done { done: 0, total: Some(0) }.percent(), Some(100.0));
        assert_eq!(Done { done: 5, total: None }.percent(), None);
    }
}
