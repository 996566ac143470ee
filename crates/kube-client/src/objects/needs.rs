//! Which permissions carrying out and taking back a plan takes.

use std::collections::BTreeSet;

use fairlead_migration::change::{Images, owners};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::stage::{Stage, UndoWait};

use super::image::{patches, uid};
use super::owners::has_same_owners;
use super::{Objects, sweep};
use crate::permission::Need;
use crate::resource::Resource;

impl Objects<'_> {
    /// What carrying out and taking back these changes takes.
    pub fn needs(&self, plan: &Plan) -> Result<Vec<Need>, Obstacle> {
        self.needs_of(plan, true)
    }

    /// What taking back these changes takes.
    pub fn needs_to_undo(&self, plan: &Plan) -> Result<Vec<Need>, Obstacle> {
        self.needs_of(plan, false)
    }

    fn needs_of(&self, plan: &Plan, goes_forward: bool) -> Result<Vec<Need>, Obstacle> {
        let mut needs: Vec<Need> = Vec::new();
        let mut add = |resource: &Resource, verb: &'static str, subresource, namespace: Option<&String>| {
            let is_it = |need: &Need| need.verb == verb && need.subresource == subresource && need.resource == *resource;
            let position = needs.iter().position(is_it).unwrap_or_else(|| {
                needs.push(Need { resource: resource.clone(), verb, subresource, namespaces: BTreeSet::new() });
                needs.len() - 1
            });
            if let Some(namespace) = namespace
                && !needs[position].namespaces.contains(namespace)
            {
                needs[position].namespaces.insert(namespace.clone());
            }
        };
        for change in plan.changes() {
            let resource = self.resource(&change.target)?;
            let namespace = change.target.namespace.as_ref();
            // Forward, and back.
            let [forward, back]: [&[&'static str]; 2] = match &change.images {
                Images::Create(_) => [&["create"], &["get", "delete"]],
                // Who owned which field is put back through the object itself.
                Images::Update(..) => [&[], &["get", "patch"]],
                // One that was made by the plan itself.
                Images::Delete(before) if uid(before).is_none() => [&["delete"], &["create", "get"]],
                Images::Delete(_) if plan.stages()[change.stage].cascaded => [&[], &["create", "get", "patch"]],
                Images::Delete(_) => [&["delete"], &["create", "get", "patch"]],
                Images::Sweep(..) => [&[], &["list", "patch"]],
            };
            for verb in forward.iter().filter(|_| goes_forward).chain(back) {
                add(&resource, verb, None, namespace);
            }
            match &change.images {
                Images::Create(_) => {}
                Images::Sweep(..) => {
                    let definition = self.resource(&sweep::definition_of(&resource))?;
                    add(&definition, "get", None, None);
                }
                Images::Update(before, after) => {
                    for (part, _) in patches(before, after, &resource) {
                        add(&resource, "patch", part.subresource(), namespace);
                    }
                    for reference in owners(before).filter(|_| !has_same_owners(before, after)) {
                        let owner = self.owner_of(&change, reference);
                        if let Ok(resource) = self.resource(&owner) {
                            add(&resource, "get", None, owner.namespace.as_ref());
                        }
                    }
                }
                Images::Delete(before) => {
                    let is_written = resource.has_status && plan.stages()[change.stage].settled.is_none();
                    if is_written && before.get("status").is_some() {
                        add(&resource, "patch", Some("status"), namespace);
                    }
                    for reference in owners(before) {
                        let owner = self.owner_of(&change, reference);
                        if let Ok(resource) = self.resource(&owner) {
                            add(&resource, "get", None, owner.namespace.as_ref());
                        }
                    }
                }
            }
        }
        for wait in plan.stages().iter().flat_map(Stage::waits) {
            let UndoWait::Condition { target, .. } = wait else { continue };
            add(&self.resource(target)?, "get", None, target.namespace.as_ref());
        }
        for pacing in plan.stages().iter().filter(|stage| !stage.pacing.is_empty()).flat_map(|stage| &stage.pacing) {
            for namespace in plan
                .changes()
                .filter(|change| change.target.kind == pacing.kind)
                .filter_map(|change| change.target.namespace)
            {
                if let Some(resource) = self.discovery.find_version(&pacing.holder_api_version, &pacing.holder_kind) {
                    add(resource, "get", None, Some(&namespace));
                }
            }
        }
        Ok(needs)
    }
}
