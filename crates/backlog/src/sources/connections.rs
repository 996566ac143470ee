//! Who is connected to a server of NATS, from its monitoring endpoint.

use serde::Deserialize;

use crate::http::Http;

#[derive(Deserialize)]
struct Connections {
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    #[serde(default)]
    name: String,
    ip: String,
    port: u16,
    in_msgs: u64,
}

/// Who has sent something, acknowledgements included; none where the server does not say it.
pub(crate) async fn connections(http: &Http) -> Vec<String> {
    let Ok(all) = http.json::<Connections>("/connz?limit=1024").await else { return Vec::new() };
    // The server's own are among them.
    let is_client = |one: &Connection| one.in_msgs > 0 && !one.name.starts_with("_NSS-");
    let named = |one: &Connection| format!("{} (connection {} from {}:{})", one.name, one.cid, one.ip, one.port);
    all.connections.iter().filter(|one| is_client(one)).map(|one| named(one).trim_start().to_owned()).collect()
}
