//! Heartbeats, with the query that makes a change for them.

use super::{engine::Engine, stream::Streaming};
use crate::error::{Error, Result};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait of the heartbeat's query for a lock, and for its end.
const ACT_LOCK: Duration = Duration::from_secs(1);
const ACT: Duration = Duration::from_secs(5);

impl Engine {
    /// A heartbeat, when it is time.
    pub(super) async fn beat(&mut self, streaming: &mut Streaming) -> Result<()> {
        let interval = self.settings.config.events.heartbeat_interval;
        if interval.is_zero() || streaming.heartbeat_at.elapsed() < interval {
            return Ok(());
        }
        streaming.heartbeat_at = Instant::now();
        self.emitter.heartbeat(&mut self.batch);
        if let Some(query) =
            self.settings.config.events.heartbeat_query.clone().filter(|query| !query.trim().is_empty())
        {
            let action = "heartbeat.action.query failed";
            if let Err(error) = streaming.beside(self.act(action, &query)).await {
                if matches!(error, Error::Stopped) {
                    return Err(error);
                }
                self.settings.context.warn(&error.to_string());
                // The statement may still run there, or have left a transaction that failed.
                streaming.beside(self.reconnect()).await?;
                streaming.heartbeat_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Runs the heartbeat's query within a time in which the stream may stand still: somebody may have locked its table.
    async fn act(&self, action: &str, query: &str) -> Result<()> {
        let limits =
            format!("SET lock_timeout = {}; SET statement_timeout = {}", ACT_LOCK.as_millis(), ACT.as_millis());
        self.sql.execute(action, &limits).await?;
        self.sql.execute(action, query).await?;
        self.sql.execute(action, "RESET lock_timeout; RESET statement_timeout").await
    }
}
