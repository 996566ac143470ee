//! Secrets with the credentials of a database: whether they are there, and whether the rollback hooks may read them.
//!
//! A ticket names those that taking its run back reads; the section `tables` of an upgrade names those of the run to come.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::ticket::SecretReference;
use serde_json::Value;

/// Who reads which keys of Secrets; each key once, with the first who does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials(BTreeMap<SecretReference, Reader>);

/// Who reads a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Taking back this run.
    Run(u64),
    /// The upgrade to come.
    Upgrade,
}

/// What was found; what is said of a Secret with several keys is said once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// What is missing, and for whom.
    pub(crate) wrong: BTreeSet<String>,
    /// What nobody knows here.
    pub(crate) unknown: BTreeSet<String>,
}

impl Credentials {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What taking back a run reads.
    pub(crate) fn add_of_run(&mut self, sequence: u64, references: &[SecretReference]) {
        for reference in references {
            self.0.entry(reference.clone()).or_insert(Reader::Run(sequence));
        }
    }

    /// What `tables.database` of a configuration names; a Secret without a namespace is in that of the release.
    pub(crate) fn add_of_configuration(&mut self, configuration: &Value, namespace: &str) {
        let mut rest = vec![&configuration["tables"]["database"]];
        while let Some(Value::Object(fields)) = rest.pop() {
            let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
            if let (Some(name), Some(key)) = (text("name"), text("key")) {
                let namespace = text("namespace").unwrap_or_else(|| namespace.to_owned());
                self.0.entry(SecretReference { namespace, name, key }).or_insert(Reader::Upgrade);
            }
            rest.extend(fields.values().filter(|value| value.is_object()));
        }
    }

    /// Looks at each. `account` is that of the rollback hooks, and its name as a user: it must be allowed what taking back a run reads, in the namespaces for which
    /// `is_asked` is true.
    pub(crate) async fn look(
        &self,
        cluster: &Cluster,
        account: Option<(&str, &str)>,
        is_asked: impl Fn(&str) -> bool,
    ) -> Result<Found, Obstacle> {
        let objects = Objects::new(cluster, Discovery::default());
        let mut found = Found::default();
        for (reference, reader) in &self.0 {
            let SecretReference { namespace, name, key } = reference;
            let who = match reader {
                Reader::Run(sequence) => format!("taking back run {sequence} reads it"),
                Reader::Upgrade => "the upgrade reads it".to_owned(),
            };
            let [api_version, kind] = ["v1", "Secret"].map(str::to_owned);
            let target = Target { api_version, kind, namespace: Some(namespace.clone()), name: name.clone() };
            match objects.get(&target).await {
                Ok(Some(secret)) if secret["data"].get(key).is_some() => {}
                Ok(Some(_)) => {
                    found.wrong.insert(format!("{target} has no key {key}, and {who}"));
                }
                Ok(None) => {
                    found.wrong.insert(format!("{target} is not there, and {who}"));
                }
                Err(Obstacle::Forbidden { .. }) => {
                    found.unknown.insert(format!("you may not read {target}, and {who}"));
                }
                Err(other) => return Err(other),
            }
            // What the upgrade reads the hooks may read once it is there.
            let is_due = *reader != Reader::Upgrade && is_asked(namespace);
            let Some((account, user)) = account.filter(|_| is_due) else { continue };
            match cluster.may_get_secret(user, namespace, name).await {
                Ok(true) => {}
                Ok(false) => {
                    found.wrong.insert(format!("ServiceAccount {account} may not get {target}, and {who}"));
                }
                Err(Obstacle::Forbidden { rule, .. }) => {
                    found
                        .unknown
                        .insert(format!("you may not ask whether ServiceAccount {account} may get {target}: {rule}"));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_names_its_secrets_wherever_they_stand() {
        let mut credentials = Credentials::default();
        credentials
            .add_of_run(3, &[SecretReference { namespace: "shop".into(), name: "db".into(), key: "password".into() }]);
        let tls = json!({"ca": {"namespace": "pki", "name": "ca", "key": "ca.crt"}, "key": {"env": "TLS_KEY"}});
        let database =
            json!({"host": "db", "database": "ledger", "password": {"name": "db", "key": "password"}, "tls": tls});
        credentials.add_of_configuration(&json!({"tables": {"database": database}}), "shop");
        let all: Vec<(String, &Reader)> = credentials
            .0
            .iter()
            .map(|(SecretReference { namespace, name, key }, reader)| (format!("{namespace}/{name} {key}"), reader))
            .collect();
        assert_eq!(all, [("pki/ca ca.crt".to_owned(), &Reader::Upgrade), ("shop/db password".to_owned(), &Reader::Run(3))]);
        let mut none = Credentials::default();
        none.add_of_configuration(&json!({"drain": {}}), "shop");
        assert!(none.is_empty());
    }
}
