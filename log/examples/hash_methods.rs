//! Measures what could guard a record: checksums and hashes, at the sizes that records have. The numbers behind the
//! choice of CRC-32C and XXH3 in the ADR on the embedded log.
#![allow(clippy::print_stdout, reason = "a measuring tool prints what it measured")]

use std::{hint::black_box, time::Instant};

use twox_hash::XxHash3_128;

type Hash = fn(&[u8]);

const METHODS: [(&str, Hash); 3] = [
    ("CRC-32C", |bytes| {
        black_box(crc32c::crc32c(bytes));
    }),
    ("XXH3, 128 bits", |bytes| {
        black_box(XxHash3_128::oneshot(bytes));
    }),
    ("BLAKE3", |bytes| {
        black_box(blake3::hash(bytes));
    }),
];

fn main() {
    println!("{:<16}{:>10}{:>12}{:>10}", "method", "bytes", "ns", "GB/s");
    for bytes in [64, 150, 1_000, 4_096, 61_000, 1_000_000] {
        let payload = vec![7; bytes];
        let rounds = (200 << 20) / bytes.max(200);
        for (name, hash) in METHODS {
            // The first rounds warm up.
            (0..rounds / 10).for_each(|_| hash(black_box(&payload)));
            let start = Instant::now();
            (0..rounds).for_each(|_| hash(black_box(&payload)));
            let nanos = start.elapsed().as_nanos() as f64 / rounds as f64;
            println!("{name:<16}{bytes:>10}{nanos:>12.1}{:>10.1}", bytes as f64 / nanos);
        }
    }
}
