//! The scenarios that come with the program.

/// A scenario that is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shipped {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The file.
    pub(crate) text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// All of them, by name.
        pub(crate) const SHIPPED: &[Shipped] = &[
            $(Shipped { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*
        ];
    };
}

shipped![
    "bots",
    "broker-kill",
    "cancel-wave",
    "disk-full",
    "double-click",
    "failover",
    "freeze",
    "hot",
    "key-abuse",
    "late",
    "multi-line",
    "reader-heavy",
    "retry-storm",
    "retry-storm-jitter",
    "soak",
    "sold-out-tail",
    "t0-herd",
    "ttl-expiry",
    "zipf",
];
