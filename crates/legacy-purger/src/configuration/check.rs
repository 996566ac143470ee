//! What a configuration cannot mean, although each word of it can be read.

use std::collections::BTreeSet;

use fairlead_apis::limits::violation;
use fairlead_apis::trigger;
use serde_json::json;

use super::{Consumer, Finalizer, Purge, PurgedKind, Workload, is_built_in};

impl Purge {
    /// A group is named without its version.
    fn check_groups(&self) -> Result<(), String> {
        let kinds = self.kinds.iter().map(|it| ("kinds", &it.group));
        let dependents = self.dependents.iter().map(|it| ("dependents", &it.group));
        let stays = self.stays.iter().map(|it| ("stays", &it.group));
        let products = self.finalizers.iter().flat_map(|it| &it.deletes).map(|it| ("finalizers", &it.group));
        let mut groups = kinds.chain(dependents).chain(stays).chain(products);
        match groups.find_map(|(part, group)| Some((part, group, group.split_once('/')?.0))) {
            Some((part, group, name)) => {
                Err(format!("purge.{part}: {group} has a version; a group is written without: {name}"))
            }
            None => Ok(()),
        }
    }

    /// The first thing that cannot be meant.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.kinds.is_empty() {
            return Err(
                "purge.kinds: it is empty, so nothing would be removed: name a kind, or take the section `purge` out"
                    .to_owned(),
            );
        }
        let mut seen = BTreeSet::new();
        for PurgedKind { group, kind, .. } in &self.kinds {
            if is_built_in(group) {
                return Err(format!("purge.kinds: {kind} of {group:?} is not a custom kind, and must not be purged"));
            }
            if group == trigger::GROUP && [trigger::KIND, "Broker"].contains(&kind.as_str()) {
                return Err(format!("purge.kinds: fairlead itself needs {kind} of {group}"));
            }
            if !seen.insert((group, kind)) {
                return Err(format!("purge.kinds: {kind} of {group} stands twice"));
            }
        }
        for PurgedKind { group, kind, namespaces, .. } in &self.kinds {
            if self.stays.iter().any(|staying| staying.group == *group && staying.kind == *kind) {
                return Err(format!(
                    "purge.stays: {kind} of {group} stands under kinds, too: its objects go or stay; name it once"
                ));
            }
            namespaces.iter().try_for_each(|namespace| check_namespace("kinds", namespace))?;
        }
        self.check_groups()?;
        for Consumer { workload, hold, .. } in &self.consumers {
            check_workload("consumers", workload)?;
            if *hold && !workload.has_replicas() {
                return Err(format!(
                    "purge.consumers: {workload} of {} cannot be held, because its kind has no replicas: name the workload that makes it",
                    workload.api_version
                ));
            }
        }
        for Finalizer { owner, deletes, .. } in &self.finalizers {
            check_workload("finalizers", owner)?;
            deletes.iter().try_for_each(|product| check_namespace("finalizers", &product.namespace))?;
        }
        for (position, named) in self.dependents.iter().enumerate() {
            if self.dependents[..position].contains(named) {
                return Err(format!("purge.dependents: {} of {:?} stands twice", named.kind, named.group));
            }
        }
        if let Some(finalizer) =
            self.finalizers.iter().find(|it| it.deletes.iter().any(|product| product.selector.is_empty()))
        {
            return Err(format!("purge.finalizers: an empty selector below {} would mean everything", finalizer.name));
        }
        if self.drained_by.as_ref().is_some_and(|step| step.trim().is_empty()) {
            return Err("purge.drainedBy: it names no step; leave it out where nothing has to be drained".to_owned());
        }
        let owners: Vec<&Workload> = self.finalizers.iter().map(|finalizer| &finalizer.owner).collect();
        if let Some(consumer) = self.consumers.iter().find(|consumer| consumer.hold && owners.contains(&&consumer.workload))
        {
            let workload = &consumer.workload;
            return Err(format!("purge.consumers: {workload} owns a finalizer, so it must run until the objects are gone"));
        }
        Ok(())
    }
}

impl Workload {
    /// Whether its kind may have replicas; every custom kind may.
    fn has_replicas(&self) -> bool {
        match (self.api_version.split_once('/').map(|(group, _)| group), self.kind.as_str()) {
            (None, kind) => kind == "ReplicationController",
            (Some("apps"), kind) => ["Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"].contains(&kind),
            (Some("batch"), _) => false,
            (Some(_), _) => true,
        }
    }
}

fn check_workload(part: &str, workload: &Workload) -> Result<(), String> {
    check_namespace(part, &workload.namespace)?;
    let object = json!({"metadata": {"name": workload.name}});
    violation(&object).map_or(Ok(()), |_| Err(format!("purge.{part}: no workload can have the name {:?}", workload.name)))
}

fn check_namespace(part: &str, namespace: &str) -> Result<(), String> {
    let object = json!({"metadata": {"name": "x", "namespace": namespace}});
    if namespace.is_empty() || violation(&object).is_some() {
        return Err(format!("purge.{part}: no namespace can have the name {namespace:?}"));
    }
    Ok(())
}
