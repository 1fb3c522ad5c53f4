//! Names of the ordered logs.

/// Commands to the inventory machine, partitioned by SKU.
pub const INVENTORY_COMMANDS: &str = "holdfast.inventory.commands.v1";
/// Decisions of the inventory machine, partition for partition.
pub const INVENTORY_DECISIONS: &str = "holdfast.inventory.decisions.v1";
