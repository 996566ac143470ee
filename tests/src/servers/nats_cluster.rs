//! Three servers of NATS, each of which a test can cut off from the others and from us.

use super::nats::{Nats, Neighbours, Ports};
use super::process::{closed_port, free_port};
use crate::link::Link;

/// Three servers with links between them, and one in front of each.
pub struct NatsCluster {
    /// The servers, `n1` first.
    pub servers: [Nats; 3],
    fronts: [Link; 3],
    /// From whom, to whom.
    routes: Vec<(usize, usize, Link)>,
}

impl NatsCluster {
    /// Starts them, and waits until they have a leader.
    #[must_use]
    pub fn start() -> Self {
        let ports: [_; 3] = std::array::from_fn(|_| (Ports::free(), free_port()));
        let fronts = ports.map(|(ports, _)| Link::to(ports.clients));
        let pairs = (0..3).flat_map(|from| (0..3).filter(move |to| *to != from).map(move |to| (from, to)));
        let routes: Vec<_> = pairs.map(|(from, to)| (from, to, Link::to(ports[to].1))).collect();
        // Where servers and clients are told to connect: servers nowhere but over their links, and clients over those in front.
        let nowhere = closed_port();
        let servers = Nats::cluster_of(&ports, |number| {
            let others = routes.iter().filter(|(from, _, _)| *from == number).map(|(_, _, link)| link.port());
            Neighbours { others: others.collect(), told: Some((nowhere, fronts[number].port())) }
        });
        let servers = servers.try_into().unwrap_or_else(|_| unreachable!("three were started"));
        Self { servers, fronts, routes }
    }

    /// Where clients connect, over the links in front.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.fronts.iter().map(|link| format!("nats://127.0.0.1:{}", link.port())).collect()
    }

    /// Nobody reaches this server, and it reaches nobody; everybody else has the others.
    pub fn cut_off(&self, server: usize) {
        self.cut_off_from_others(server);
        self.fronts[server].cut();
    }

    /// The same, but for clients.
    pub fn cut_off_from_others(&self, server: usize) {
        self.routes.iter().filter(|(from, to, _)| [from, to].contains(&&server)).for_each(|(_, _, link)| link.cut());
    }

    /// Everybody reaches everybody.
    pub fn mend(&self) {
        self.routes.iter().map(|(_, _, link)| link).chain(&self.fronts).for_each(Link::mend);
    }
}
