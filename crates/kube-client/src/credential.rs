//! Why there is no credential: the program that the kubeconfig names for it is missing, or fails. Its output is never told, because that
//! is where the token is.

use fairlead_migration::obstacle::{LONGEST, cut};
use kube::client::AuthError;
use kube::config::{AuthInfo, Config};

/// The program that makes the credential.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    command: String,
    /// How it is installed, as the kubeconfig says.
    install: Option<String>,
}

impl Plugin {
    /// The one that the kubeconfig names. Its arguments may be secrets.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let AuthInfo { exec, auth_provider, .. } = &config.auth_info;
        match (exec, auth_provider) {
            (Some(exec), _) => Some(Self { command: exec.command.clone()?, install: exec.install_hint.clone() }),
            (None, Some(provider)) => Some(Self { command: provider.config.get("cmd-path")?.clone(), install: None }),
            (None, None) => None,
        }
    }
}

/// What has failed; kube's own words hold what the plugin has printed.
pub(crate) fn said_of(error: &AuthError, plugin: Option<&Plugin>) -> String {
    let name =
        plugin.map_or_else(|| "the credential plugin".to_owned(), |it| format!("the credential plugin {}", it.command));
    match error {
        AuthError::AuthExecStart(why) => {
            let install = plugin.and_then(|plugin| plugin.install.as_deref()).map(str::trim).filter(|hint| !hint.is_empty());
            let install = install.map(|hint| format!("; the kubeconfig says how it is installed: {hint}"));
            format!("{name} cannot be started: {why}{}", install.unwrap_or_default())
        }
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = if said.trim().is_empty() { String::new() } else { format!(": {}", cut(said.trim(), LONGEST)) };
            format!("{name} has failed with {}{said}", out.status)
        }
        AuthError::AuthExecParse(_) => format!("{name} has printed something that is no ExecCredential"),
        AuthError::ParseTokenKey(_) => format!("{name} has printed something that is not JSON"),
        AuthError::ExecPluginFailed => format!("{name} has printed no status, and so no token"),
        AuthError::MalformedTokenExpirationDate(_) => format!("{name} has printed an expiration that is no time"),
        AuthError::ReadTokenFile(why, path) => format!("the token file {} cannot be read: {why}", path.display()),
        other => other.to_string(),
    }
}

/// Why there is no credential, if that lies beneath an error.
pub(crate) fn beneath<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e AuthError> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::Duration;

    use fairlead_migration::obstacle::chain;
    use serde_json::{Value, json};

    use crate::access::Access;
    use crate::cluster::Cluster;
    use crate::resource::Resource;

    const TOKEN: &str = "SECRET-TOKEN";

    /// What is said with this user, at once or with the first request.
    fn said(folder: &Path, user: &Value) -> String {
        let path = folder.join("config");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}], "users": [{"name": "u", "user": user}],
            "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}]});
        fs::write(&path, config.to_string()).expect("written");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let access = Access { kubeconfig: Some(&path), ..Access::USUAL };
        let said = runtime.block_on(async {
            let cluster = match Cluster::connect(&access, Duration::from_secs(5)).await {
                Ok(cluster) => cluster,
                Err(error) => return chain(&error),
            };
            chain(&cluster.first(&Resource::core("Secret", "secrets", true)).await.expect_err("nobody answers"))
        });
        assert!(!said.contains(TOKEN), "{said}");
        said
    }

    /// A plugin that does this.
    fn exec(folder: &Path, script: &str, more: &Value) -> Value {
        let path = folder.join("plugin");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("allowed");
        let mut exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": path, "args": [TOKEN],
            "env": [{"name": "PASSWORD", "value": TOKEN}], "interactiveMode": "Never"});
        exec.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        json!({"exec": exec})
    }

    #[test]
    fn a_plugin_that_is_missing_is_named_with_how_it_is_installed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hint = json!({"command": "kubelogin-of-us", "installHint": "\n  brew install kubelogin-of-us\n"});
        let said = said(folder.path(), &exec(folder.path(), "", &hint));
        let expected = "there is no credential for https://127.0.0.1:1/: the credential plugin kubelogin-of-us cannot be started: \
                        No such file or directory (os error 2); the kubeconfig says how it is installed: brew install kubelogin-of-us";
        assert_eq!(said, expected);
    }

    #[test]
    fn a_plugin_that_fails_is_told_without_what_it_has_printed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let printed = format!(r#"echo '{{"status": {{"token": "{TOKEN}"}}}}'"#);
        let failing = format!("{printed}\necho 'session expired: aws sso login' >&2\nexit 253");
        let failed = said(folder.path(), &exec(folder.path(), &failing, &Value::Null));
        assert!(failed.ends_with("/plugin has failed with exit status: 253: session expired: aws sso login"), "{failed}");
        for (script, expected) in [
            (format!("echo a new version is there; {printed}"), "has printed something that is no ExecCredential"),
            (
                format!("echo '{{\"status\": {{\"token\": [\"{TOKEN}\"]}}}}'"),
                "has printed something that is no ExecCredential",
            ),
            (format!("echo '{{\"spec\": {{\"x\": \"{TOKEN}\"}}}}'"), "has printed no status, and so no token"),
            (
                format!("echo '{{\"status\": {{\"token\": \"x\", \"expirationTimestamp\": \"{TOKEN}\"}}}}'"),
                "has printed an expiration that is no time",
            ),
        ] {
            let said = said(folder.path(), &exec(folder.path(), &script, &Value::Null));
            assert!(said.ends_with(expected), "{said}");
        }
        let absent = said(folder.path(), &json!({"tokenFile": "nowhere"}));
        assert!(absent.contains("the token file ") && absent.contains("nowhere cannot be read: No such file"), "{absent}");
    }

    #[test]
    fn a_token_that_is_not_renewed_is_told_without_what_the_plugin_has_printed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let status = format!(r#"{{"status": {{"token": "{TOKEN}", "expirationTimestamp": "2026-01-01T00:00:00Z"}}}}"#);
        // A certificate is asked for first, then a token.
        let script = format!("echo '{status}'\necho >>{0}/asked\ntest $(wc -l <{0}/asked) -le 2", folder.path().display());
        let said = said(folder.path(), &exec(folder.path(), &script, &Value::Null));
        assert!(said.contains("no credential for https://127.0.0.1:1/: the credential plugin "), "{said}");
        assert!(said.ends_with("/plugin has failed with exit status: 1"), "{said}");
    }
}
