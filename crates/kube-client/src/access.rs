//! Which cluster is asked, as whom, and over which proxy: what kubectl finds, found as kubectl finds it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// The connection cannot be set up; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The named kubeconfig, or a context in it.
    #[error("{0}")]
    Kubeconfig(String),
    /// Neither a kubeconfig nor a pod's ServiceAccount.
    #[error("found neither a kubeconfig nor a ServiceAccount: {0}")]
    Infer(String),
    /// Nothing says who we are: a plugin is missing or fails, say.
    #[error("there is no credential for {server}: {why}")]
    Credential {
        /// Who is to be asked.
        server: String,
        /// What has failed.
        why: String,
    },
    /// TLS.
    #[error("failed to set up the client")]
    Client(#[source] kube::Error),
}

/// What somebody has said about the cluster. Without `kubeconfig` and `context`: the files in `$KUBECONFIG`, then `~/.kube/config`, then
/// the pod's ServiceAccount.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// A file.
    pub kubeconfig: Option<&'a Path>,
    /// A context in it.
    pub context: Option<&'a str>,
    /// The user as whom is asked, instead of one's own.
    pub impersonate: Option<&'a str>,
    /// Groups of that user.
    pub impersonate_groups: &'a [String],
}

/// What kubectl calls context, user and groups.
pub const KUBECTL_FLAGS: [&str; 3] = ["context", "as", "as-group"];

/// A word as a shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl Access<'_> {
    /// Nothing was said.
    pub const USUAL: Self = Self { kubeconfig: None, context: None, impersonate: None, impersonate_groups: &[] };

    /// The same as flags, by the names that a program has for context, user and groups.
    #[must_use]
    pub fn flags(&self, [context_flag, user_flag, group_flag]: [&str; 3]) -> Vec<String> {
        let Self { kubeconfig, context, impersonate, impersonate_groups } = self;
        let flag = |name: &str, value: &str| [format!("--{name}"), value.to_owned()];
        let kubeconfig = kubeconfig.map(|path| flag("kubeconfig", &path.display().to_string()));
        let context = context.map(|context| flag(context_flag, context));
        let user = impersonate.map(|user| flag(user_flag, user));
        let groups = impersonate_groups.iter().map(|group| flag(group_flag, group));
        [kubeconfig, context, user].into_iter().flatten().chain(groups).flatten().collect()
    }

    /// The same as it stands behind a command in a shell, with a blank before each.
    #[must_use]
    pub fn written(&self, names: [&str; 3]) -> String {
        self.flags(names).iter().flat_map(|word| [" ".to_owned(), quoted(word)]).collect()
    }

    /// Where to, and with which credentials.
    pub(crate) async fn configuration(&self) -> Result<Config, ConnectError> {
        let files = self.kubeconfig.map_or_else(files, |path| Ok(vec![path.to_owned()]));
        let mut config = match files {
            Ok(files) => self.in_kubeconfig(&files).await?,
            // Never because a file cannot be used: a pipeline whose context is misspelt must not end in the cluster that it runs in.
            Err(why) if self.context.is_none() => Config::incluster()
                .map_err(|pod| ConnectError::Infer(format!("{why}; as a pod: {}", pod.to_string().replace('\n', " "))))?,
            Err(why) => return Err(why),
        };
        if config.cluster_url.scheme().is_none() {
            let message = format!("the cluster's server is {}: it must begin with https://", config.cluster_url);
            return Err(ConnectError::Kubeconfig(message));
        }
        config.auth_info.impersonate = self.impersonate.map(str::to_owned).or(config.auth_info.impersonate);
        if !self.impersonate_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.impersonate_groups.to_vec());
        }
        require_user(&config.auth_info)?;
        Ok(config)
    }

    async fn in_kubeconfig(&self, files: &[PathBuf]) -> Result<Config, ConnectError> {
        let unreadable = |error: KubeconfigError| ConnectError::Kubeconfig(without_contents(&error));
        let mut kubeconfig = Kubeconfig::default();
        for path in files {
            let mut more = Kubeconfig::read_from(path).map_err(|error| said_plainly(path, &error))?;
            // As kubectl and kind leave it: nothing is said.
            more.current_context = more.current_context.filter(|name| !name.is_empty());
            kubeconfig = kubeconfig.merge(more).map_err(unreadable)?;
        }
        if let Some(wanted) = self.context.or(kubeconfig.current_context.as_deref())
            && !kubeconfig.contexts.iter().any(|it| it.name == wanted)
        {
            let there: Vec<&str> = kubeconfig.contexts.iter().map(|it| it.name.as_str()).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            return Err(ConnectError::Kubeconfig(format!("there is no context {wanted}; there are: {there}")));
        }
        let of_cluster = proxy_of(&kubeconfig, self.context);
        let options = KubeConfigOptions { context: self.context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unreadable)?;
        // kube 5 compares $NO_PROXY with the address of the proxy, and not with that of the API server.
        if !of_cluster {
            config.proxy_url = Proxies::of_environment().on_the_way_to(&config.cluster_url);
        }
        Ok(config)
    }
}

/// The kubeconfigs there are. One that is not there is passed over, as kubectl does, because many tools add names to the variable.
fn files() -> Result<Vec<PathBuf>, ConnectError> {
    let named: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|names| std::env::split_paths(&names).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    let named = if named.is_empty() {
        std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
    } else {
        named
    };
    let there: Vec<PathBuf> = named.iter().filter(|path| path.exists()).cloned().collect();
    if there.is_empty() {
        let absent: Vec<String> = named.iter().map(|path| path.display().to_string()).collect();
        return Err(ConnectError::Kubeconfig(format!("there is no kubeconfig {}", absent.join(", "))));
    }
    Ok(there)
}

/// Fails where somebody's groups are asked for and nobody is named. The server would refuse each request.
fn require_user(user: &AuthInfo) -> Result<(), ConnectError> {
    let AuthInfo { impersonate, impersonate_uid, impersonate_groups, impersonate_user_extra, .. } = user;
    let has_more = [
        ("as-groups (--as-group)", impersonate_groups.as_ref().is_some_and(|groups| !groups.is_empty())),
        ("as-uid", impersonate_uid.is_some()),
        ("as-user-extra", impersonate_user_extra.as_ref().is_some_and(|extra| !extra.is_empty())),
    ];
    let is_named = impersonate.as_ref().is_some_and(|name| !name.is_empty());
    match has_more.iter().find(|(_, is_there)| *is_there && !is_named) {
        None => Ok(()),
        Some((what, _)) => {
            let message = format!("{what} says more of a user as whom to ask, and no user is named: add `as` (--as)");
            Err(ConnectError::Kubeconfig(message))
        }
    }
}

/// Whether the cluster of a context names a proxy of its own, which counts more than the environment.
fn proxy_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let name = context.or(kubeconfig.current_context.as_deref());
    let context = kubeconfig.contexts.iter().find(|it| Some(it.name.as_str()) == name).and_then(|it| it.context.as_ref());
    let cluster = kubeconfig.clusters.iter().find(|it| context.is_some_and(|context| context.cluster == it.name));
    cluster.and_then(|it| it.cluster.as_ref()?.proxy_url.as_ref()).is_some_and(|url| !url.is_empty())
}

/// What the environment says of proxies, as kubectl reads it.
/// Source: Go's `net/http.ProxyFromEnvironment`, which knows no `ALL_PROXY`.
struct Proxies {
    http: String,
    https: String,
    /// Servers that need none.
    no: String,
}

impl Proxies {
    fn of_environment() -> Self {
        let [http, https, no] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].map(|name| {
            let said = [name.to_owned(), name.to_ascii_lowercase()]
                .into_iter()
                .filter_map(|name| std::env::var_os(name)?.into_string().ok());
            said.filter(|value| !value.is_empty()).take(1).collect()
        });
        Self { http, https, no }
    }

    /// The proxy on the way to a server, with its password. This machine itself is never asked over one.
    fn on_the_way_to(&self, server: &Uri) -> Option<Uri> {
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let Self { http, https, no } = self;
        let rules = Matcher::builder().http(http.as_str()).https(https.as_str()).no(no.as_str()).build();
        if is_here || rules.intercept(server).is_none() {
            return None;
        }
        let proxy = if server.scheme_str() == Some("http") { http } else { https };
        let proxy = if proxy.contains("://") { proxy.clone() } else { format!("http://{proxy}") };
        proxy.parse().ok()
    }
}

/// Which file cannot be read, and why.
fn said_plainly(path: &Path, error: &KubeconfigError) -> ConnectError {
    let why = match error {
        KubeconfigError::ReadConfig(why, _) => why.to_string(),
        other => without_contents(other),
    };
    ConnectError::Kubeconfig(format!("failed to read {}: {why}", path.display()))
}

/// What is wrong with a kubeconfig, without its text: parsers quote what they do not understand, and that may be a token.
fn without_contents(error: &impl ToString) -> String {
    let text = error.to_string();
    if !text.contains("YAML") {
        return text;
    }
    let first = text.lines().next().unwrap_or_default();
    let parts: Vec<&str> = first.split(['"', '`', '\'']).step_by(2).collect();
    parts.join("[…]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_needs_no_proxy_is_asked_without_one() {
        let asked = |server: &str, no: &str| {
            let [https, http] = ["http://me:secret@proxy.corp:3128", "other:3128"].map(str::to_owned);
            let proxies = Proxies { http, https, no: no.to_owned() };
            proxies.on_the_way_to(&server.parse().expect("an address")).map(|proxy| proxy.to_string())
        };
        let proxy = Some("http://me:secret@proxy.corp:3128/".to_owned());
        assert_eq!(asked("https://api.example.com:6443", ""), proxy);
        assert_eq!(asked("https://api.example.com:6443", "proxy.corp,10.0.0.0/8"), proxy);
        assert_eq!(asked("http://api.example.com", "").as_deref(), Some("http://other:3128/"));
        for (server, no) in [
            ("https://10.1.2.3:6443", "localhost, 10.0.0.0/8"),
            ("https://api.example.com:6443", ".example.com"),
            ("https://api.example.com:6443", "*"),
            ("https://127.0.0.1:6443", ""),
            ("https://localhost:6443", ""),
            ("https://[::1]:6443", ""),
        ] {
            assert_eq!(asked(server, no), None, "{server}, without {no}");
        }
    }

    fn kubeconfig(proxy: Option<&str>) -> Kubeconfig {
        let text = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}, {"name": "d", "context": {"cluster": "none", "user": "u"}}],
            "users": [], "clusters": [{"name": "k", "cluster": {"server": "https://10.0.0.1", "proxy-url": proxy}}]});
        Kubeconfig::from_yaml(&text.to_string()).expect("a kubeconfig")
    }

    #[test]
    fn a_proxy_in_the_kubeconfig_counts_more_than_the_environment() {
        assert!(proxy_of(&kubeconfig(Some("socks5://127.0.0.1:1080")), None));
        assert!(proxy_of(&kubeconfig(Some("http://127.0.0.1:1080")), Some("c")));
        assert!(!proxy_of(&kubeconfig(Some("http://127.0.0.1:1080")), Some("d")));
        assert!(!proxy_of(&kubeconfig(Some("")), None) && !proxy_of(&kubeconfig(None), None));
    }

    /// What comes of these files, in their order.
    fn server(files: &[&str], context: Option<&str>) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths: Vec<PathBuf> = (0..files.len()).map(|number| folder.path().join(number.to_string())).collect();
        for (path, text) in paths.iter().zip(files) {
            std::fs::write(path, text).expect("written");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let config = runtime.block_on(Access { context, ..Access::USUAL }.in_kubeconfig(&paths));
        config.map(|config| config.cluster_url.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_context_that_is_not_there_is_told_with_those_that_are() {
        let there = r#"{"contexts": [{"name": "one", "context": {"cluster": "k", "user": "u"}}, {"name": "two"}], "current-context": "tow"}"#;
        let told = Err("there is no context tow; there are: one, two".to_owned());
        assert_eq!(server(&[there], None), told);
        assert_eq!(server(&[&there.replace("tow", "one")], Some("tow")), told);
    }

    #[test]
    fn a_file_that_says_nothing_hides_no_other() {
        let empty = r#"{"clusters": null, "contexts": null, "current-context": ""}"#;
        let good = serde_json::to_string(&kubeconfig(None)).expect("plain data");
        assert_eq!(server(&[empty, &good], None), Ok("https://10.0.0.1/".to_owned()));
    }

    #[test]
    fn groups_without_a_user_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let groups = ["on-call".to_owned()];
        let is_refused = |user: serde_json::Value, access: Access<'_>| {
            let mut config = serde_json::to_value(kubeconfig(None)).expect("plain data");
            config["users"] = serde_json::json!([{"name": "u", "user": user}]);
            std::fs::write(&path, config.to_string()).expect("written");
            let access = Access { kubeconfig: Some(&path), ..access };
            let refused = runtime.block_on(access.configuration()).err().map(|error| error.to_string());
            refused.is_some_and(|error| error.contains("no user is named: add `as` (--as)"))
        };
        let by_flag = Access { impersonate_groups: &groups, ..Access::USUAL };
        for user in [
            serde_json::json!({"as-groups": ["a"]}),
            serde_json::json!({"as-uid": "7"}),
            serde_json::json!({"as": "", "as-user-extra": {"a": ["b"]}}),
        ] {
            assert!(is_refused(user.clone(), Access::USUAL), "{user}");
            assert!(!is_refused(user, Access { impersonate: Some("eve"), ..Access::USUAL }));
        }
        assert!(is_refused(serde_json::json!({}), by_flag));
        assert!(!is_refused(serde_json::json!({"as": "eve"}), by_flag));
        assert!(!is_refused(serde_json::json!({"as-groups": []}), Access::USUAL));
    }

    #[test]
    fn a_server_without_a_scheme_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config");
        let text =
            serde_json::to_string(&kubeconfig(None)).expect("plain data").replace("https://10.0.0.1", "10.0.0.1:6443");
        std::fs::write(&path, text).expect("written");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let access = Access { kubeconfig: Some(&path), ..Access::USUAL };
        let error = runtime.block_on(access.configuration()).expect_err("no address");
        assert_eq!(error.to_string(), "the cluster's server is 10.0.0.1:6443: it must begin with https://");
    }
}
