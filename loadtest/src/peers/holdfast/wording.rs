//! Requests as they go over the wire, with everything made before the run that does not change in it.

use std::io::Write;
use std::net::SocketAddr;

use crate::peers::work::{Request, Work};
use crate::tokens::{Issuer, TokenError};

/// What somebody does before the sale.
pub(super) const LOOK: &str = "GET /v1/skus/A1/availability";

/// The requests of a run.
pub(super) struct Wording {
    /// The lines of the head that name a customer, from the first on.
    customers: Vec<Vec<u8>>,
    /// The end of the head and the body, which are the same for all.
    rest: Vec<u8>,
}

impl Wording {
    /// Signs everybody's token, on every core: it takes some tens of microseconds each.
    pub(super) fn new(
        address: SocketAddr,
        sku: &str,
        work: Work,
        issuer: &Issuer,
    ) -> Result<Self, TokenError> {
        let line = |customer: u64| {
            let token = issuer.bearer(&format!("buyer-{customer}"), "")?;
            Ok(format!("host: {address}\r\nauthorization: {token}\r\n").into_bytes())
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = work.customers().div_ceil(cores as u64);
        let mut customers = Vec::new();
        std::thread::scope(|scope| {
            let shares: Vec<_> = (0..cores as u64)
                .map(|core| (1 + core * share)..=((core + 1) * share).min(work.customers()))
                .map(|range| scope.spawn(|| range.map(line).collect::<Result<Vec<_>, TokenError>>()))
                .collect();
            for share in shares {
                customers.extend(share.join().expect("signing does not panic")?);
            }
            Ok::<_, TokenError>(())
        })?;
        let body = format!(r#"{{"lines":[{{"sku":"{sku}","quantity":1}}]}}"#);
        let head = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        Ok(Self { customers, rest: format!("{head}{body}").into_bytes() })
    }

    pub(super) fn reserve(&self, wanted: &Request, request: &mut Vec<u8>) {
        request.extend_from_slice(b"POST /v1/reservations HTTP/1.1\r\n");
        request.extend_from_slice(self.customer(wanted.customer));
        // Writing to memory does not fail.
        write!(request, "idempotency-key: {:032x}\r\n", u128::from_be_bytes(wanted.id)).ok();
        request.extend_from_slice(&self.rest);
    }

    /// A look at the shelf.
    pub(super) fn look(&self, customer: u64, request: &mut Vec<u8>) {
        request.extend_from_slice(LOOK.as_bytes());
        request.extend_from_slice(b" HTTP/1.1\r\n");
        request.extend_from_slice(self.customer(customer));
        request.extend_from_slice(b"\r\n");
    }

    fn customer(&self, number: u64) -> &[u8] {
        let place = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        self.customers.get(place).map_or(&[], Vec::as_slice)
    }
}
