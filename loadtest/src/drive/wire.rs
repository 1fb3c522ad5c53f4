//! How requests are written: everything that does not change from one to the next is made before the run.

use std::io::Write;

use holdfast_contracts::murmur2::partition_of;

use super::template::Values;
use crate::books::{Ask, Body, Customer, Key, Sku};

/// Names for so many SKUs, from `STEM-0001` on.
///
/// One reservation is for SKUs of one partition. Given how many partitions the server has, only such names are given as
/// are kept in the first one's; the numbers between are left out.
pub(crate) fn sku_names(stem: &str, count: u16, one_of_partitions: Option<u32>) -> Vec<String> {
    let name = |number: u32| format!("{stem}-{number:04}");
    let home = |name: &str| one_of_partitions.map(|partitions| partition_of(name, partitions.max(1)));
    let wanted = home(&name(1));
    (1..).map(name).filter(|it| home(it) == wanted).take(usize::from(count)).collect()
}

/// The parts of requests to Holdfast's HTTP interface.
pub(crate) struct Wording {
    host: String,
    /// Tells the keys of this run from those of others.
    run: u64,
    /// The lines of the head that name a customer, by number.
    customers: Vec<Vec<u8>>,
    tokens: Vec<String>,
    skus: Vec<String>,
}

impl Wording {
    /// `tokens` are values of `Authorization`, one for each customer.
    pub(crate) fn new(host: &str, run: u64, tokens: Vec<String>, skus: Vec<String>) -> Self {
        let line = |token: &String| format!("host: {host}\r\nauthorization: {token}\r\n").into_bytes();
        let customers = tokens.iter().map(line).collect();
        Self { host: host.to_owned(), run, customers, tokens, skus }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Values of `Authorization`, one for each customer.
    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// What differs from one request to somebody else's interface to the next.
    pub(super) fn values(&self, key: Key, body: Body) -> Values<'_> {
        let sku = body.lines().iter().next().and_then(|(sku, _)| self.skus.get(usize::from(sku.0)));
        let token = self.tokens.get(key.customer.0 as usize);
        Values {
            run: self.run,
            key,
            body,
            sku: sku.map_or("", String::as_str),
            token: token.map_or("", String::as_str),
        }
    }

    /// The names of the SKUs, by number.
    pub(crate) fn skus(&self) -> &[String] {
        &self.skus
    }

    pub(crate) fn ask(&self, customer: Customer, ask: &Ask, request: &mut Vec<u8>) {
        match ask {
            Ask::Reserve { key, body } => self.reserve(customer, *key, *body, request),
            Ask::Confirm { reservation } => {
                self.plain(customer, format_args!("POST /v1/reservations/{reservation}/confirm"), request);
            }
            Ask::Release { reservation } => {
                self.plain(customer, format_args!("POST /v1/reservations/{reservation}/release"), request);
            }
            Ask::Read { reservation } => {
                self.plain(customer, format_args!("GET /v1/reservations/{reservation}"), request);
            }
        }
    }

    pub(crate) fn look(&self, customer: Customer, sku: Sku, request: &mut Vec<u8>) {
        let sku = &self.skus[usize::from(sku.0)];
        self.plain(customer, format_args!("GET /v1/skus/{sku}/availability"), request);
    }

    fn reserve(&self, customer: Customer, key: Key, body: Body, request: &mut Vec<u8>) {
        request.extend_from_slice(b"POST /v1/reservations HTTP/1.1\r\n");
        request.extend_from_slice(&self.customers[customer.0 as usize]);
        let (run, of, serial) = (self.run, key.customer.0, key.serial);
        // Writing to memory does not fail.
        write!(request, "idempotency-key: {run:x}-{of}-{serial}\r\ncontent-type: application/json\r\n").ok();
        let before = request.len();
        let mut before_line = r#"{"lines":["#;
        for (sku, units) in body.lines().iter() {
            let sku = &self.skus[usize::from(sku.0)];
            write!(request, r#"{before_line}{{"sku":"{sku}","quantity":{units}}}"#).ok();
            before_line = ",";
        }
        write!(request, r#"],"allow_partial":{}}}"#, body.allow_partial()).ok();
        let length = request.len() - before;
        let body_at = request.split_off(before);
        write!(request, "content-length: {length}\r\n\r\n").ok();
        request.extend_from_slice(&body_at);
    }

    fn plain(&self, customer: Customer, line: std::fmt::Arguments<'_>, request: &mut Vec<u8>) {
        write!(request, "{line} HTTP/1.1\r\n").ok();
        request.extend_from_slice(&self.customers[customer.0 as usize]);
        request.extend_from_slice(b"content-length: 0\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_in_order() {
        assert_eq!(sku_names("SKU", 3, None), ["SKU-0001", "SKU-0002", "SKU-0003"]);
        assert_eq!(sku_names("SKU", u16::MAX, None).last().map(String::as_str), Some("SKU-65535"));
    }

    #[test]
    fn names_of_one_partition_leave_the_others_out() {
        let names = sku_names("SKU", 50, Some(4));
        let home = partition_of("SKU-0001", 4);
        assert_eq!((names.len(), names[0].as_str()), (50, "SKU-0001"));
        assert!(names.is_sorted() && names.iter().all(|it| partition_of(it, 4) == home), "{names:?}");
        assert_ne!(names, sku_names("SKU", 50, None));
    }

    #[test]
    fn a_reservation_is_written_with_all_its_lines() {
        let wording = Wording::new("shop", 0xab, vec!["Bearer x".to_owned()], sku_names("SKU", 3, None));
        let key = Key { customer: Customer(0), serial: 5 };
        let written = |body| {
            let mut request = Vec::new();
            wording.ask(Customer(0), &Ask::Reserve { key, body }, &mut request);
            String::from_utf8(request).unwrap()
        };
        let head = "POST /v1/reservations HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer x\r\n\
                    idempotency-key: ab-0-5\r\ncontent-type: application/json\r\n";
        for (body, text) in [
            (Body::one(Sku(1), 2), r#"{"lines":[{"sku":"SKU-0002","quantity":2}],"allow_partial":false}"#),
            (Body::up_to(Sku(0), 3), r#"{"lines":[{"sku":"SKU-0001","quantity":3}],"allow_partial":true}"#),
            (
                Body::of(&[(Sku(2), 1), (Sku(0), 4)]),
                r#"{"lines":[{"sku":"SKU-0001","quantity":4},{"sku":"SKU-0003","quantity":1}],"allow_partial":false}"#,
            ),
        ] {
            assert_eq!(written(body), format!("{head}content-length: {}\r\n\r\n{text}", text.len()));
        }
    }
}
