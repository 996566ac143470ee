//! The version in the first packet of a server of MariaDB or MySQL: it comes before any of the features that old servers lack.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A server greets at once.
const LIMIT: Duration = Duration::from_secs(2);

/// Length and number of a packet.
const HEADER: usize = 4;

/// What the server at this address says of itself; none if it is no such server.
pub(crate) async fn version(host: &str, port: u16) -> Option<String> {
    let greeting = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).await.ok()?;
        let length = u64::from(u32::from_le_bytes([header[0], header[1], header[2], 0]));
        let mut body = Vec::new();
        stream.take(length).read_to_end(&mut body).await.ok()?;
        read(&body)
    };
    tokio::time::timeout(LIMIT, greeting).await.ok()?
}

/// The text after the version of the protocol, which is 10. An error comes as another packet.
fn read(body: &[u8]) -> Option<String> {
    let (10, rest) = body.split_first()? else { return None };
    let end = rest.iter().position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_an_error_is_none() {
        assert_eq!(read(b"\x0a5.5.9\0\x01\0\0\0abc").as_deref(), Some("5.5.9"));
        assert_eq!(read(b"\xff\x10\x04Too many connections"), None);
        assert_eq!(read(b"\x0a5.5.9"), None);
        assert_eq!(read(b""), None);
    }
}
