//! Every bound of the wire contract, by name.

/// Largest command record, in bytes. Below the 1 MiB that Kafka brokers accept by default.
pub const RECORD_BYTES_MAX: usize = 1_000_000;
/// Commands in one record.
pub const BATCH_COMMANDS_MAX: usize = 8_192;
/// Entries of a record's SKU dictionary.
pub const BATCH_SKUS_MAX: usize = 8_192;
/// Bytes of a SKU.
pub const SKU_BYTES_MAX: usize = 64;
/// Lines of one reservation.
pub const RESERVE_LINES_MAX: usize = 32;
/// Units of one SKU in one reservation.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// Units of one SKU on hand.
pub const STOCK_MAX: u64 = 1 << 40;
/// Bytes of a sale id.
pub const SALE_ID_BYTES_MAX: usize = 64;
/// SKUs of one sale in one partition.
pub const SALE_SKUS_MAX: usize = 4_096;
/// Bytes of a free text (reason, reference) or of any other string before its own rule is applied.
pub const TEXT_BYTES_MAX: usize = 256;
/// Reservations listed after a forced stock cut.
pub const CANCEL_LIST_MAX: usize = 100;
/// Longest time a term may name: 30 days in milliseconds.
pub const DURATION_MS_MAX: u32 = 2_592_000_000;
/// Most extensions a sale may allow for one hold.
pub const EXTEND_MAX: u32 = 15;
/// Partitions of a log.
pub const PARTITIONS_MAX: u32 = 1_024;
/// Entries of a decision record's SKU dictionary: the command record's, and what due work adds.
pub const DECISION_SKUS_MAX: usize = 1 << 16;
