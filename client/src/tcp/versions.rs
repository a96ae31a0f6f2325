//! Which version of each API to speak with a broker.

use levada_wire::{ApiKey, messages::api_versions::ApiVersionsResponse};
use std::collections::HashMap;

/// What a broker serves.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions(HashMap<i16, (i16, i16)>);

impl Versions {
    pub(super) fn of(answer: &ApiVersionsResponse) -> Self {
        Self(answer.api_keys.iter().map(|row| (row.api_key, (row.min_version, row.max_version))).collect())
    }

    /// The newest version that both sides speak.
    pub(super) fn choose(&self, api: ApiKey) -> Option<i16> {
        let (min, max) = *self.0.get(&api.code())?;
        let ours = levada_wire::versions::served_versions(api).unwrap_or_else(|| api.codec_versions());
        let version = ours.max.min(max);
        (version >= min && version >= ours.min).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_wire::messages::api_versions::ApiVersion;

    fn serving(min_version: i16, max_version: i16) -> Versions {
        let row = ApiVersion { api_key: ApiKey::Metadata.code(), min_version, max_version };
        Versions::of(&ApiVersionsResponse { api_keys: vec![row], ..Default::default() })
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        let ours = levada_wire::versions::served_versions(ApiKey::Metadata).unwrap();
        assert_eq!(serving(0, 5).choose(ApiKey::Metadata), Some(5));
        assert_eq!(serving(0, 99).choose(ApiKey::Metadata), Some(ours.max));
        assert_eq!(serving(98, 99).choose(ApiKey::Metadata), None);
        assert_eq!(serving(0, 5).choose(ApiKey::Produce), None);
    }
}
