//! Names of the ordered logs.

/// Commands to the inventory machine, partitioned by SKU.
pub const INVENTORY_COMMANDS: &str = "holdfast.inventory.commands.v1";
/// Decisions of the inventory machine, partition for partition.
pub const INVENTORY_DECISIONS: &str = "holdfast.inventory.decisions.v1";
/// What belongs to a log on Kafka for good: fingerprints of its keys and its partition count. One partition; the first
/// value of each kind stands.
pub const INVENTORY_IDENTITY: &str = "holdfast.inventory.identity.v1";
/// Copies of command records that cannot be decoded, partition for partition.
pub const INVENTORY_DEAD_LETTERS: &str = "holdfast.inventory.commands.v1-dlt";
