//! A cluster that was killed or taken down leaves nothing on the machine.

use std::fs;
use std::path::PathBuf;

use fairlead_tests::cluster::{START, node};
use fairlead_tests::program::{root, run, tool};

/// The folders of the cgroup hierarchies that belong to the box with this process.
fn cgroups(pid: &str) -> Vec<PathBuf> {
    let hierarchies =
        fs::read_dir("/sys/fs/cgroup").expect("cgroups are mounted").map(|entry| entry.expect("readable").path());
    let folders = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]).map(|folder| folder.join(format!("fairlead-{pid}")));
    folders.filter(|folder| folder.exists()).collect()
}

/// Mounts, network devices and packet filters of this machine's own namespaces; a box has its own.
fn outside() -> (String, Vec<String>, String) {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("readable");
    let devices = fs::read_to_string("/proc/net/dev").expect("readable");
    let names = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    let filters = run(&mut std::process::Command::new("iptables-save"), "").expect(0).stdout;
    // Its comments have the time.
    let filters: Vec<&str> = filters.lines().filter(|line| !line.starts_with('#')).collect();
    (mounts, names, filters.join("\n"))
}

#[test]
fn a_killed_cluster_leaves_nothing_but_what_down_takes_away() {
    let _turn = node();
    let before = outside();
    let cluster = |args: &[&str]| run(tool("cluster").args(args).args(["--name", "leftovers"]), "");
    cluster(&["up", "--timeout", START]).expect(0);
    let status = cluster(&["status"]).expect(0).stdout;
    let pid = status.lines().find_map(|line| line.strip_prefix("pid")).expect(&status).trim().to_owned();
    assert!(!cgroups(&pid).is_empty(), "a box has cgroups of its own");
    assert_eq!(outside(), before, "nothing of a box is seen outside");

    run(std::process::Command::new("kill").args(["-KILL", &pid]), "").expect(0);
    cluster(&["down"]).expect(0);
    assert_eq!(outside(), before);
    assert_eq!(cgroups(&pid), Vec::<PathBuf>::new());
    // Gone, or only not yet reaped by the machine's first process.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "{status}");
    assert!(!root().join("target/tools/clusters/leftovers").exists());
}
