//! Who holds a lock.

/// A name for this process: the pod's or the machine's, its number, and when it asked.
pub(crate) fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}/{}/{}", host.trim(), std::process::id(), now.as_nanos())
}

/// What people need of such a name: behind the host and the number of the process stands only what tells its leases apart.
pub(crate) fn process(name: &str) -> String {
    name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/")
}
