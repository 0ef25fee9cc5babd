//! Resolve, check, connect to the checked address.

use super::{NetError, Reach, Refused};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for the resolver.
const RESOLVE: Duration = Duration::from_secs(5);
/// Time for one address to take the connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of one host that are tried.
const ADDRESSES: usize = 6;

/// Connects to the first of the addresses that takes the connection; `host` is for messages.
pub async fn connect_to(host: &str, port: u16, addresses: &[SocketAddr]) -> Result<TcpStream, NetError> {
    let mut last = NetError::Timeout(format!("{host} port {port}"));
    for address in addresses.iter().take(ADDRESSES) {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Commands are small and wait for an answer: Nagle's delay would only add to each.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = NetError::Connect { host: host.to_owned(), port, why: error.kind().to_string() },
            Err(_) => last = NetError::Timeout(format!("{host} port {port}")),
        }
    }
    Err(last)
}

/// The addresses of `host` (a name, or an address without brackets) that `reach` allows on `port`; the reason where it
/// allows none. What is connected to is one of these: what a second answer of the resolver says cannot matter.
pub async fn resolve(host: &str, port: u16, reach: &Reach) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        reach.check(ip, port)?;
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let unresolved = |why: String| NetError::Resolve { host: host.to_owned(), why };
    let found = timeout(RESOLVE, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| unresolved("the resolver did not answer".to_owned()))?
        .map_err(|error| unresolved(error.to_string()))?;
    allowed(found, reach).map_err(|refused| match refused {
        Some(refused) => NetError::Refused(refused),
        None => unresolved("it has no address".to_owned()),
    })
}

fn allowed(found: impl Iterator<Item = SocketAddr>, reach: &Reach) -> Result<Vec<SocketAddr>, Option<Refused>> {
    let mut refused = None;
    let mut good = Vec::new();
    for address in found {
        match reach.check(address.ip(), address.port()) {
            Ok(()) => good.push(address),
            Err(why) => refused = Some(why),
        }
    }
    if good.is_empty() { Err(refused) } else { Ok(good) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn connect(host: &str, port: u16, reach: &Reach) -> Result<TcpStream, NetError> {
        connect_to(host, port, &resolve(host, port, reach).await?).await
    }

    #[tokio::test]
    async fn f29_names_and_odd_literals_are_checked_after_resolution() {
        // The C library reads 2130706433 and 0177.0.0.1 as 127.0.0.1.
        for host in
            ["localhost", "127.0.0.1", "::1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0", "::ffff:7f00:1"]
        {
            let error = connect(host, 993, &Reach::public()).await.unwrap_err();
            assert!(matches!(error, NetError::Refused(_) | NetError::Resolve { .. }), "{host}: {error}");
        }
        let error = connect("localhost", 993, &Reach::public()).await.unwrap_err();
        assert!(matches!(error, NetError::Refused(_)), "{error}");
    }

    #[tokio::test]
    async fn f29_a_private_answer_beside_a_public_one_is_left_out() {
        let found = ["10.0.0.1:993", "8.8.8.8:993", "169.254.169.254:993"].map(|a| a.parse().unwrap());
        assert_eq!(allowed(found.into_iter(), &Reach::public()).unwrap(), ["8.8.8.8:993".parse().unwrap()]);
        assert_eq!(allowed(std::iter::empty(), &Reach::public()), Err(None));
    }

    #[tokio::test]
    async fn connects_to_loopback_where_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let reach = Reach::public().with_loopback();
        assert!(connect("localhost", port, &reach).await.is_ok());
        drop(listener);
        let error = connect("127.0.0.1", port, &reach).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no connection to 127.0.0.1 port {port}: connection refused"));
        assert!(error.is_passing());
    }
}
