//! Credentials of a database: keys of Secrets, or environment variables. Their values are never printed.

use fairlead_job::codes::schema_migrator as codes;
use fairlead_job::failure::Failure;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::Target;
use fairlead_migration::ticket::SecretReference;
use fairlead_sql::address::{Address, Secret, SecretKey, Values, Variable};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where Secrets are.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'c> {
    /// The cluster, where there is one.
    pub(crate) cluster: Option<&'c Cluster>,
    /// Namespace of Secrets that name none.
    pub(crate) namespace: &'c str,
}

impl Credentials<'_> {
    /// The values for an address.
    pub(crate) async fn of(self, address: &Address) -> Result<Values, Failure> {
        let mut values = Values::default();
        if let Some(password) = &address.password {
            values.password = Some(text(password, self.read(password).await?)?);
        }
        let Some(tls) = &address.tls else { return Ok(values) };
        if let Some(ca) = &tls.ca {
            values.ca = Some(self.read(ca).await?);
        }
        values.identity = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => Some((self.read(certificate).await?, self.read(key).await?)),
            (None, None) => None,
            _ => return Err(Failure::new(&codes::NO_CREDENTIALS, "tables.database.tls: certificate and key go together")),
        };
        Ok(values)
    }

    async fn read(self, secret: &Secret) -> Result<Vec<u8>, Failure> {
        let missing = |why: &str| Failure::new(&codes::NO_CREDENTIALS, format!("{secret}: {why}"));
        match secret {
            Secret::Variable(Variable { env }) => {
                let value = std::env::var_os(env).ok_or_else(|| missing("it is not set"))?;
                value.into_string().map(String::into_bytes).map_err(|_| missing("it is no text"))
            }
            Secret::Key(SecretKey { namespace, name, key }) => {
                let cluster = self.cluster.ok_or_else(|| missing("there is no cluster to read it from"))?;
                let [api_version, kind] = ["v1", "Secret"].map(str::to_owned);
                let namespace = namespace.as_deref().unwrap_or(self.namespace);
                let target = Target { api_version, kind, namespace: Some(namespace.to_owned()), name: name.clone() };
                let found = Objects::new(cluster, Discovery::default()).get(&target).await;
                let found = found.map_err(|error| Failure::caused(&codes::NO_CREDENTIALS, secret.to_string(), error))?;
                let found = found.ok_or_else(|| missing(&format!("there is no such Secret in namespace {namespace}")))?;
                let value = found["data"][key].as_str().ok_or_else(|| missing("the Secret has no such key"))?;
                STANDARD.decode(value).map_err(|_| missing("it is no base64"))
            }
        }
    }
}

/// A password; a line end at its end belongs to the file that it was made from.
fn text(secret: &Secret, value: Vec<u8>) -> Result<String, Failure> {
    let text = String::from_utf8(value);
    let text = text.map_err(|_| Failure::new(&codes::NO_CREDENTIALS, format!("{secret}: it is no text")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The Secrets of an address, as a ticket names them.
pub(crate) fn references(address: &Address, namespace: &str) -> Vec<SecretReference> {
    let keys = address.secrets().filter_map(|secret| match secret {
        Secret::Key(key) => Some(key),
        Secret::Variable(_) => None,
    });
    let reference = |SecretKey { namespace: own, name, key }: &SecretKey| SecretReference {
        namespace: own.clone().unwrap_or_else(|| namespace.to_owned()),
        name: name.clone(),
        key: key.clone(),
    };
    keys.map(reference).collect()
}
