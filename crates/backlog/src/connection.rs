//! TLS and credentials, the same for every source.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::source::{Credentials, OpenError, SecretKey};

/// How the server is recognized, and we by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{ca: {name: …, key: …}}, or {}")]
pub struct Tls {
    /// Authorities (PEM) that may have signed the server's certificate; the public ones when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretKey>,
    /// Our certificate (PEM), for servers that ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SecretKey>,
    /// Key of our certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretKey>,
}

/// A user and the Secret with its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{username: …, password: {name: …, key: …}}")]
pub struct Login {
    /// Name of the user.
    pub username: String,
    /// Where its password is.
    pub password: SecretKey,
}

/// Who we are, for HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authentication {
    /// A user and a password.
    Basic(Login),
    /// A token.
    Bearer(SecretKey),
}

/// The contents of the Secrets that [`Tls`] names.
#[derive(Default)]
pub(crate) struct TlsFiles {
    /// Where they are from.
    named: Tls,
    pub(crate) ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsFiles {
    pub(crate) async fn read(tls: Option<&Tls>, credentials: &dyn Credentials) -> Result<Self, OpenError> {
        let Some(tls) = tls else { return Ok(Self::default()) };
        let ca = match &tls.ca {
            Some(key) => Some(credentials.read(key).await?),
            None => None,
        };
        let identity = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => Some((credentials.read(certificate).await?, credentials.read(key).await?)),
            (None, None) => None,
            _ => return Err(OpenError::Invalid("tls: certificate and key go together".to_owned())),
        };
        Ok(Self { named: tls.clone(), ca, identity })
    }

    pub(crate) fn client_config(&self) -> Result<ClientConfig, OpenError> {
        self.try_client_config().map_err(|(field, reason)| {
            let Tls { ca, certificate, key } = &self.named;
            let named = match field {
                "ca" => ca,
                "certificate" => certificate,
                _ => key,
            };
            let named = named
                .as_ref()
                .map_or_else(String::new, |SecretKey { name, key, .. }| format!(" (Secret {name}, key {key})"));
            OpenError::Invalid(format!("tls.{field}{named} is of no use: {reason}"))
        })
    }

    fn try_client_config(&self) -> Result<ClientConfig, Unusable> {
        let roots = match &self.ca {
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
            Some(pem) => roots(pem)?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("versions", &error))?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable("key", &error))?;
        builder
            .with_client_auth_cert(certificates("certificate", certificate)?, key)
            .map_err(|error| unusable("key", &error))
    }
}

/// A field of [`Tls`], and why its contents are of no use.
type Unusable = (&'static str, String);

fn roots(pem: &[u8]) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", pem)? {
        roots.add(certificate).map_err(|error| unusable("ca", &error))?;
    }
    Ok(roots)
}

fn certificates(field: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| unusable(field, &error))?;
    if all.is_empty() { Err(unusable(field, &"it holds no certificate in PEM")) } else { Ok(all) }
}

fn unusable(field: &'static str, error: &dyn std::fmt::Display) -> Unusable {
    (field, error.to_string())
}

/// A password or token, which is text; a line end at its end belongs to the file that it was made from.
pub(crate) async fn text(key: &SecretKey, credentials: &dyn Credentials) -> Result<String, OpenError> {
    let invalid = || OpenError::Credentials {
        namespace: key.namespace.clone().unwrap_or_default(),
        name: key.name.clone(),
        key: key.key.clone(),
        reason: "its value is no text".to_owned(),
    };
    let text = String::from_utf8(credentials.read(key).await?).map_err(|_| invalid())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
