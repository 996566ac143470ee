//! The receivers, asked for what they have got.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fairlead_job::codes::loss_meter as codes;
use fairlead_job::failure::Failure;
use futures::future::try_join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::time::timeout;

use crate::client::{HttpClient, client, innermost};
use crate::configuration::Connections;
use crate::received::{Arrived, Received};

/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest report of a receiver.
const LARGEST_REPORT: usize = 256 << 20;

/// Processes of `loss-meter receive`, each with its address.
pub(crate) struct Receivers {
    client: HttpClient,
    /// Address, and which process answered there at the beginning.
    all: Vec<(String, String)>,
}

impl Receivers {
    /// Asks each who it is. Who cannot be asked now could not be asked at the end.
    pub(crate) async fn find(addresses: &[String]) -> Result<Self, Failure> {
        let client = client(Connections::Kept);
        let answers = try_join_all(addresses.iter().map(|address| ask(&client, address, "none"))).await?;
        let mut known = BTreeSet::new();
        for (address, answer) in addresses.iter().zip(&answers) {
            if !known.insert(&answer.instance) {
                let message = format!("receiver {address}: another address leads to the same process");
                return Err(Failure::new(&codes::SAME_RECEIVER, message));
            }
        }
        let all = addresses.iter().cloned().zip(answers.iter().map(|answer| answer.instance.clone()));
        Ok(Self { client, all: all.collect() })
    }

    /// What has arrived of a run, by subscription and stream.
    pub(crate) async fn arrived(&self, run: &str) -> Result<BTreeMap<(String, String), Arrived>, Failure> {
        let mut all = BTreeMap::<(String, String), Arrived>::new();
        for (address, instance) in &self.all {
            let answer = ask(&self.client, address, run).await?;
            if answer.instance != *instance {
                let message = format!("receiver {address}: it is another process than at the beginning");
                return Err(Failure::new(&codes::RESTARTED, message));
            }
            for (subscription, streams) in answer.subscriptions {
                for arrived in streams {
                    let key = (subscription.clone(), arrived.stream.clone());
                    let together = match all.remove(&key) {
                        Some(before) => before.with(&arrived),
                        None => arrived,
                    };
                    all.insert(key, together);
                }
            }
        }
        Ok(all)
    }
}

async fn ask(client: &HttpClient, receiver: &str, run: &str) -> Result<Received, Failure> {
    let failed = |what: String| Failure::new(&codes::NO_RECEIVER, format!("receiver {receiver}: {what}"));
    let url = format!("{}/?run={run}", receiver.trim_end_matches('/'));
    let request = Request::get(url).body(Full::<Bytes>::default()).map_err(|error| failed(error.to_string()))?;
    let answer = async {
        let answer = client.request(request).await.map_err(|error| innermost(&error))?;
        let body = Limited::new(answer.into_body(), LARGEST_REPORT).collect().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| format!("it is no loss-meter: {error}"))
    };
    timeout(ANSWER_TIMEOUT, answer).await.unwrap_or_else(|_| Err("no answer".to_owned())).map_err(failed)
}
