//! Looks for what the owner of a finalizer has made and left behind: its own finalizer keeps such an object for ever.
//! Source: kyma-project/kyma#6940.

use std::collections::HashSet;

use fairlead_apis::object;
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
use crate::finalizers::finalizers;
use crate::index::Index;
use crate::options::Options;

/// One warning for each finalizer and kind of which objects are left behind.
pub(super) async fn read(source: &Source<'_>, options: &Options<'_>, index: &Index) -> Result<Vec<Finding>, Obstacle> {
    let mut findings = Vec::new();
    for (finalizer, product) in options.products() {
        let is_carried = index.finalizers.contains_key(&finalizer.name);
        if is_carried && options.stripped.contains(&finalizer.name) {
            continue;
        }
        let is_made = |object: &Value| {
            object::namespace(object) == product.namespace && finalizers(object).any(|it| it == finalizer.name)
        };
        let read = |object: Value| is_made(&object).then(|| (target(&object), made_for(&object, product)));
        let mut made = source.list(&Kind::named(&product.group, &product.kind), read).await?;
        // While something of what is purged carries it, the owner still deletes what it has made for that.
        if is_carried && !made.is_empty() {
            let is_kyma = options.purge.kinds.iter().any(is_kyma_subscription);
            let there = if is_kyma { subscriptions(source).await? } else { HashSet::new() };
            made.retain(|(_, subscription)| subscription.as_ref().is_some_and(|it| is_kyma && !there.contains(it)));
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
fn made_for(object: &Value, product: &Product) -> Option<(String, String)> {
    let (name, namespace) = object::name(object).rsplit_once("--").filter(|_| product.kind == "Subscription")?;
    Some((namespace.replace("-p", ".").replace("-d", "-"), name.to_owned()))
}

async fn subscriptions(source: &Source<'_>) -> Result<HashSet<(String, String)>, Obstacle> {
    let address = |object: Value| Some((object::namespace(&object).to_owned(), object::name(&object).to_owned()));
    Ok(source.list(&LEGACY_SUBSCRIPTION, address).await?.into_iter().collect())
}
