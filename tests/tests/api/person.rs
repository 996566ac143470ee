//! A person who pastes commands into a shell.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use fairlead_tests::program::{Ended, binaries, root, run};

/// A person at a shell, with kubectl, Helm and our binaries on the PATH.
pub(crate) struct Person {
    pub(crate) home: tempfile::TempDir,
}

impl Person {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        symlink(root().join("target/tools/bin/helm4"), home.path().join("helm")).expect("a link");
        Self { home }
    }

    /// What stands in no command must come from the command itself: there is no kubeconfig but that of `kubeconfig`.
    pub(crate) fn paste(&self, command: &str, kubeconfig: Option<&Path>) -> Ended {
        let path = [
            self.home.path().to_owned(),
            binaries().to_owned(),
            root().join("target/tools/bin"),
            "/usr/bin".into(),
            "/bin".into(),
        ];
        let path = std::env::join_paths(path).expect("no colon in a folder");
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", command])
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        // A lease that somebody has left is waited for as long.
        shell.env("FAIRLEAD_REQUEST_TIMEOUT", "3s");
        if let Some(kubeconfig) = kubeconfig {
            shell.env("KUBECONFIG", kubeconfig);
        }
        run(&mut shell, "")
    }

    /// The commands of `status`, as the person asks for it.
    pub(crate) fn next(&self, ask: &str, kubeconfig: Option<&Path>) -> Vec<String> {
        let status = self.paste(&format!("{ask} -o json"), kubeconfig).expect(0).json();
        let next = status["next"].as_array().expect("a list").iter();
        next.map(|next| next["command"].as_str().expect("text").to_owned()).collect()
    }
}
