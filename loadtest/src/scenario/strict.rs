//! Where serde reads past what somebody mistyped.

use serde::{Deserialize, Deserializer, de::Error};
use toml::Spanned;

/// Two numbers, the least and the most: neither more of them nor fewer.
pub(super) fn two<'de, D, T>(deserializer: D) -> Result<Spanned<[T; 2]>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Spanned::<Vec<T>>::deserialize(deserializer)?;
    let (span, count) = (list.span(), list.get_ref().len());
    let two = list.into_inner().try_into();
    let two =
        two.map_err(|_| D::Error::custom(format!("{count} numbers, but it takes the least and the most")))?;
    Ok(Spanned::new(span, two))
}

/// How popularity is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PopularityForm {
    kind: Kind,
    share: Option<f64>,
    s: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Hot,
    Zipf,
    Uniform,
}

impl TryFrom<PopularityForm> for super::file::Popularity {
    type Error = &'static str;

    fn try_from(form: PopularityForm) -> Result<Self, Self::Error> {
        match form {
            PopularityForm { kind: Kind::Hot, share: Some(share), s: None } => Ok(Self::Hot { share }),
            PopularityForm { kind: Kind::Hot, .. } => Err("kind = \"hot\" takes `share` and nothing else"),
            PopularityForm { kind: Kind::Zipf, share: None, s: Some(s) } => Ok(Self::Zipf { s }),
            PopularityForm { kind: Kind::Zipf, .. } => Err("kind = \"zipf\" takes `s` and nothing else"),
            PopularityForm { kind: Kind::Uniform, share: None, s: None } => Ok(Self::Uniform),
            PopularityForm { kind: Kind::Uniform, .. } => Err("kind = \"uniform\" takes nothing else"),
        }
    }
}
