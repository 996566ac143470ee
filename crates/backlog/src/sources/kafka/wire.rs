//! A connection to one broker: requests and answers one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Sasl;
use super::scram::{Hash, Scram};
use crate::connection::{Tls, TlsFiles, text};
use crate::source::{Credentials, OpenError, causes, not_configured};

/// The longest answer.
const LONGEST: usize = 16 << 20;

/// Why a broker did not answer.
pub(super) enum Fault {
    /// It is said as it is.
    Open(OpenError),
    /// The broker cannot be reached, or cannot answer now.
    Broker(Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    pub(super) fn invalid(what: String) -> Self {
        Self::Open(OpenError::Invalid(what))
    }

    pub(super) fn broker(what: String) -> Self {
        Self::Broker(what.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => formatter.write_str(&causes(error)),
            Self::Broker(error) => write!(formatter, "{error}"),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Broker(Box::new(error))
    }
}

/// TLS and credentials, the same for all brokers.
pub(super) struct Security {
    tls: Option<Arc<ClientConfig>>,
    login: Option<(Mechanism, String, String)>,
}

#[derive(Clone, Copy)]
enum Mechanism {
    Plain,
    Scram(Hash),
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(Hash::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Hash::Sha512) => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    pub(super) async fn new(
        tls: Option<&Tls>,
        sasl: Option<&Sasl>,
        credentials: &dyn Credentials,
    ) -> Result<Self, OpenError> {
        if tls.is_none() && matches!(sasl, Some(Sasl::Plain(_))) {
            return Err(OpenError::Invalid(
                "sasl.plain sends the password as it is, for everybody to read: set tls".to_owned(),
            ));
        }
        let config = TlsFiles::read(tls, credentials).await?.client_config()?;
        let login = match sasl {
            None => None,
            Some(Sasl::Plain(login)) => Some((Mechanism::Plain, login)),
            Some(Sasl::ScramSha256(login)) => Some((Mechanism::Scram(Hash::Sha256), login)),
            Some(Sasl::ScramSha512(login)) => Some((Mechanism::Scram(Hash::Sha512), login)),
        };
        let login = match login {
            None => None,
            Some((mechanism, login)) => Some((mechanism, login.username.clone(), text(&login.password, credentials).await?)),
        };
        Ok(Self { tls: tls.map(|_| Arc::new(config)), login })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection to one broker.
pub(super) struct Broker {
    stream: Box<dyn Stream>,
    is_tls: bool,
    address: String,
    has_login: bool,
    correlation: i32,
    /// Which versions of each request it takes.
    versions: BTreeMap<i16, (i16, i16)>,
    /// Level of the cluster's features.
    pub(super) level: Option<i16>,
}

impl Broker {
    pub(super) async fn connect(address: &str, security: &Security) -> Result<Self, Fault> {
        let unreachable = |error: &dyn std::error::Error| Fault::Open(OpenError::unreachable(address, error));
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &security.tls {
            None => Box::new(stream),
            Some(tls) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
                let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(&error))?;
                let connected = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                Box::new(connected.map_err(|error| unreachable(&error))?)
            }
        };
        let is_tls = security.tls.is_some();
        let (address, has_login) = (address.to_owned(), security.login.is_some());
        let mut broker = Self { stream, is_tls, address, has_login, correlation: 0, versions: BTreeMap::new(), level: None };
        let ours = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("fairlead"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let theirs = broker.ask::<_, ApiVersionsResponse>(ApiKey::ApiVersions, 3, &ours).await;
        let theirs = theirs.map_err(|fault| match fault {
            Fault::Broker(source) => unreachable(source.as_ref()),
            fault @ Fault::Open(_) => fault,
        })?;
        broker.versions = theirs.api_keys.iter().map(|key| (key.api_key, (key.min_version, key.max_version))).collect();
        let level = theirs.finalized_features.iter().find(|feature| feature.name.as_str() == "metadata.version");
        broker.level = level.map(|feature| feature.max_version_level);
        broker.authenticate(security).await?;
        Ok(broker)
    }

    async fn authenticate(&mut self, security: &Security) -> Result<(), Fault> {
        let address = self.address.clone();
        let Some((mechanism, username, password)) = &security.login else { return Ok(()) };
        let denied = |reason: String| Fault::Open(OpenError::Denied { address: address.clone(), reason });
        let hello = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism.name()));
        let offered: SaslHandshakeResponse = self.call(ApiKey::SaslHandshake, (1, 1), &hello).await?;
        if offered.error_code != 0 {
            let offered: Vec<&str> = offered.mechanisms.iter().map(StrBytes::as_str).collect();
            return Err(denied(format!("it does not take {}, but {}", mechanism.name(), offered.join(", "))));
        }
        let Mechanism::Scram(hash) = mechanism else {
            let message = format!("\0{username}\0{password}");
            return self.say(message).await?.map(drop).map_err(denied);
        };
        let mut random = [0; 24];
        let filled = ring::default_provider().secure_random.fill(&mut random);
        filled.map_err(|_| Fault::broker("the system gives no random numbers".to_owned()))?;
        let scram = Scram::new(*hash, username, password, STANDARD_NO_PAD.encode(random));
        let challenge = self.say(scram.first()).await?.map_err(denied)?;
        let proof = scram.answer(&challenge).ok_or_else(|| denied("its challenge is none of SCRAM".to_owned()))?;
        let last = self.say(proof.message.clone()).await?.map_err(denied)?;
        if proof.is_answered_by(&last) { Ok(()) } else { Err(denied("it does not know the password itself".to_owned())) }
    }

    /// A message of the login, and the answer or the refusal.
    async fn say(&mut self, message: String) -> Result<Result<String, String>, Fault> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
        let answer: SaslAuthenticateResponse = self.call(ApiKey::SaslAuthenticate, (0, 2), &request).await?;
        let text = String::from_utf8_lossy(&answer.auth_bytes).into_owned();
        let refusal = answer.error_message.map_or_else(String::new, |message| message.as_str().to_owned());
        Ok(if answer.error_code == 0 { Ok(text) } else { Err(refusal) })
    }

    /// Asks in the newest version, within `ours`, that both sides know.
    pub(super) async fn call<Q, R>(&mut self, key: ApiKey, ours: (i16, i16), request: &Q) -> Result<R, Fault>
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion + Message,
    {
        let theirs = self.versions.get(&(key as i16)).copied().unwrap_or((0, -1));
        let version = ours.1.min(theirs.1);
        if version < ours.0.max(theirs.0) {
            let what =
                format!("the broker takes {key:?} {} to {}, and we speak {} to {}", theirs.0, theirs.1, ours.0, ours.1);
            return Err(Fault::invalid(what));
        }
        self.ask(key, version, request).await
    }

    /// What the end of a connection means. A broker that wants to know first who asks takes the question for its versions, and ends it then.
    fn ended(&self, error: std::io::Error) -> Fault {
        let what = "the broker ends the connection without an answer".to_owned();
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset if self.correlation == 2 && !self.has_login => {
                let reason = not_configured(what, false, "sasl");
                Fault::Open(OpenError::Denied { address: self.address.clone(), reason })
            }
            ErrorKind::UnexpectedEof => Fault::broker(what),
            _ => Fault::from(error),
        }
    }

    /// That something else answers.
    fn another(&self) -> String {
        let or = if self.is_tls { "" } else { ", or TLS (set tls)" };
        format!("the answer is none of Kafka: another protocol is spoken on this port{or}")
    }

    async fn ask<Q, R>(&mut self, key: ApiKey, version: i16, request: &Q) -> Result<R, Fault>
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion + Message,
    {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("fairlead")));
        let mut body = BytesMut::new();
        let wrong = |error: &dyn std::fmt::Display| Fault::broker(format!("{key:?}: {error}"));
        header.encode(&mut body, Q::header_version(version)).map_err(|error| wrong(&error))?;
        request.encode(&mut body, version).map_err(|error| wrong(&error))?;
        let mut message = BytesMut::with_capacity(body.len() + 4);
        message.put_u32(u32::try_from(body.len()).map_err(|error| wrong(&error))?);
        message.extend_from_slice(&body);
        self.stream.write_all(&message).await?;
        self.stream.flush().await?;
        let length = self.stream.read_u32().await.map_err(|error| self.ended(error))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(wrong(&self.another()));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, R::header_version(version)).map_err(|error| wrong(&error))?;
        if header.correlation_id != self.correlation {
            return Err(wrong(&self.another()));
        }
        let read = R::decode(&mut answer, version).map_err(|error| wrong(&error))?;
        if answer.has_remaining() { Err(wrong(&"the answer has more than expected")) } else { Ok(read) }
    }
}
