//! Whether what evidence rests on is still so.

use fairlead_migration::evidence::Claim;
use fairlead_migration::obstacle::Obstacle;

use crate::kind::Kind;
use crate::source::Source;

/// What is not so any more, in words; empty while the claim stands.
pub async fn broken(source: &Source<'_>, claim: &Claim) -> Result<Vec<String>, Obstacle> {
    let mut broken = Vec::new();
    for condition in &claim.rests_on {
        let target = &condition.target;
        let live = source.get(&Kind::of(target), target.namespace.as_deref().unwrap_or_default(), &target.name).await?;
        broken.extend(condition.broken(live.as_ref()));
    }
    Ok(broken)
}
