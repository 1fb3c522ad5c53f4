//! The Protobuf wire format: reading without copying, writing without planning.

mod error;
mod read;
mod write;

pub use error::WireError;
pub(crate) use read::{Field, Fields, Once, only_number, two_small_numbers, u32_of};
pub use read::{id_of, text_of};
pub(crate) use write::{
    Short, nested, put_bool, put_bytes, put_fixed64, put_packed_u32, put_text, put_uint, put_uint_always,
    put_zigzag,
};
