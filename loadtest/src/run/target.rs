//! Who is asked, and as whom.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::RunError;
use crate::tokens::Issuer;

/// A server that takes longer to take a connection is not there.
const REACH_WITHIN: Duration = Duration::from_secs(5);

/// As whom the server is asked.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// The data directory of a server that runs with development keys: there are as many customers as are wanted.
    Keys(PathBuf),
    /// Values of `Authorization` headers that somebody else has made.
    Tokens {
        /// One for each customer.
        customers: Vec<String>,
        /// With the scope `admin`.
        admin: String,
    },
    /// A server that does not want to know.
    None,
}

/// A server that speaks HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// For the `Host` line.
    pub(crate) host: String,
    /// As it is told to people.
    pub(crate) base: String,
}

impl Target {
    /// Reads `http://host:port`, or `host:port`.
    pub(crate) fn parse(server: &str) -> Result<Self, RunError> {
        let wrong = |why: &str| RunError::Target { server: server.to_owned(), why: why.to_owned() };
        let rest = server.strip_prefix("http://").unwrap_or(server);
        if rest.contains("://") {
            return Err(wrong("only http is spoken"));
        }
        let host = rest.trim_end_matches('/');
        if host.contains('/') {
            return Err(wrong("it must end after the port"));
        }
        let with_port = if host.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut addresses = with_port.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
        let address = addresses.next().ok_or_else(|| wrong("nobody has that name"))?;
        Ok(Self { address, host: host.to_owned(), base: format!("http://{host}") })
    }
}

impl Target {
    /// Whether anybody listens there.
    pub(crate) fn reach(&self) -> Result<(), RunError> {
        match TcpStream::connect_timeout(&self.address, REACH_WITHIN) {
            Ok(_) => Ok(()),
            Err(_) => Err(RunError::Silent { server: self.base.clone() }),
        }
    }
}

/// Values of `Authorization` headers.
pub(super) struct Tokens {
    pub(super) customers: Vec<String>,
    pub(super) admin: String,
}

impl Tokens {
    /// For so many customers. Names of customers have the run in them, so that limits of an earlier run do not count.
    pub(super) fn make(credentials: &Credentials, customers: u32, run: u64) -> Result<Self, RunError> {
        match credentials {
            Credentials::Keys(directory) => {
                let issuer = Issuer::open(directory)?;
                let admin = issuer.bearer("load-test", "admin")?;
                let halves = std::thread::scope(|scope| {
                    let middle = customers / 2;
                    let make = |range: std::ops::Range<u32>| {
                        range.map(|number| issuer.bearer(&format!("lt-{run:x}-{number}"), "")).collect()
                    };
                    let other = scope.spawn(move || make(middle..customers));
                    let one: Result<Vec<String>, _> = make(0..middle);
                    let other: Result<Vec<String>, _> = other.join().unwrap_or_else(|_| Ok(Vec::new()));
                    one.and_then(|mut one| {
                        one.extend(other?);
                        Ok(one)
                    })
                })?;
                Ok(Self { customers: halves, admin })
            }
            Credentials::Tokens { customers: given, admin } => {
                let wanted = usize::try_from(customers).unwrap_or(usize::MAX);
                if given.len() < wanted {
                    return Err(RunError::Tokens { given: given.len(), wanted });
                }
                Ok(Self { customers: given[..wanted].to_vec(), admin: admin.clone() })
            }
            Credentials::None => {
                let wanted = usize::try_from(customers).unwrap_or(usize::MAX);
                Ok(Self { customers: vec![String::new(); wanted], admin: String::new() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_or_without_its_scheme() {
        for name in ["http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080/"] {
            let target = Target::parse(name).expect(name);
            assert_eq!(target.address, "127.0.0.1:8080".parse().expect("an address"));
            assert_eq!(
                (target.host.as_str(), target.base.as_str()),
                ("127.0.0.1:8080", "http://127.0.0.1:8080")
            );
        }
        assert_eq!(Target::parse("127.0.0.1").expect("a host alone").address.port(), 80);
        assert_eq!(Target::parse("[::1]:9").expect("an address of the sixth kind").address.port(), 9);
        for name in ["https://127.0.0.1:1", "http://127.0.0.1:1/path", "http://", "no host:1"] {
            assert!(matches!(Target::parse(name), Err(RunError::Target { .. })), "{name}");
        }
    }

    #[test]
    fn tokens_that_were_given_must_be_enough() {
        let given = Credentials::Tokens { customers: vec!["a".into(), "b".into()], admin: "c".into() };
        assert_eq!(Tokens::make(&given, 2, 1).expect("two are there").customers, ["a", "b"]);
        assert!(matches!(Tokens::make(&given, 3, 1), Err(RunError::Tokens { given: 2, wanted: 3 })));
    }
}
