//! Looks for what the owner of a finalizer has made and left behind: its own finalizer keeps such an object for ever.
//! Source: kyma-project/kyma#6940.

use std::collections::HashSet;

use fairlead_apis::{object, subscription};
use fairlead_job::codes::legacy_purger as codes;
use fairlead_mesh::kinds::LEGACY_SUBSCRIPTION;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::Product;
use crate::count::count_of;
use crate::decide::is_kyma_subscription;
use crate::definitions::Definition;
use crate::finalizers::finalizers;
use crate::index::Index;
use crate::options::Options;

/// One warning for each finalizer of which Knative Subscriptions are left behind. A Channel does not say for what it was made.
pub(super) async fn read(
    source: &Source<'_>,
    options: &Options<'_>,
    definitions: &[Definition],
    index: &Index,
) -> Result<Vec<Finding>, Obstacle> {
    let mut findings = Vec::new();
    // Where Subscriptions cannot be read, nobody knows which are there; the purge is refused for that.
    let is_unreadable = definitions.iter().any(|it| is_kyma_subscription(&it.entry) && it.is_unreadable());
    if is_unreadable || !options.purge.kinds.iter().any(is_kyma_subscription) {
        return Ok(findings);
    }
    for (finalizer, product) in options.products().filter(|(_, product)| product.kind == subscription::KIND) {
        // Where the purge takes the finalizer away, it deletes these itself.
        if index.finalizers.contains_key(&finalizer.name) && options.stripped.contains(&finalizer.name) {
            continue;
        }
        let is_made = |object: &Value| {
            object::namespace(object) == product.namespace && finalizers(object).any(|it| it == finalizer.name)
        };
        let read = |object: Value| is_made(&object).then(|| Some((target(&object), made_for(&object)?))).flatten();
        let mut made = source.list(&Kind::named(&product.group, &product.kind), read).await?;
        if !made.is_empty() {
            // Whether it goes or stays, and whatever it carries: the owner still looks after what it has made for it.
            let there = subscriptions(source).await?;
            made.retain(|(_, subscription)| !there.contains(subscription));
        }
        findings.extend(left(&finalizer.name, product, made.into_iter().map(|(target, _)| target)));
    }
    Ok(findings)
}

fn left(finalizer: &str, product: &Product, made: impl Iterator<Item = Target>) -> Option<Finding> {
    let mut made: Vec<Target> = made.collect();
    made.sort();
    let first = made.first()?.clone();
    let many = count_of(made.len(), "object");
    let (carry, they) = if made.len() == 1 { ("carries", "it was") } else { ("carry", "they were") };
    let message =
        format!("{many} of this kind in {} {carry} {finalizer}, and what {they} made for has gone", product.namespace);
    Some(codes::LEFT_BEHIND.finding(first, message))
}

/// The namespace and the name of the legacy Subscription for which Kyma has made a Knative one: its name is `<name>--<namespace>`, with
/// `-d` for a dash and `-p` for a dot in the namespace. The label `kyma-ns` is lost when it is made again.
fn made_for(object: &Value) -> Option<(String, String)> {
    let (name, namespace) = object::name(object).rsplit_once("--")?;
    Some((namespace.replace("-p", ".").replace("-d", "-"), name.to_owned()))
}

async fn subscriptions(source: &Source<'_>) -> Result<HashSet<(String, String)>, Obstacle> {
    let address = |object: Value| Some((object::namespace(&object).to_owned(), object::name(&object).to_owned()));
    Ok(source.list(&LEGACY_SUBSCRIPTION, address).await?.into_iter().collect())
}
