//! The end-to-end crash test: what it records, and the checker that reads only that.
