//! The stages of a purge, in their order. Going back they are undone in the opposite one: definitions first, holds last.

use fairlead_migration::stage::{Stage, StageKind, UndoAt};

/// Workloads are scaled to zero.
pub(crate) const HOLDS: usize = 0;
/// The fence is put up.
pub(crate) const FENCE: usize = 1;
/// Objects that have another owner lose their references to those that go. Before the owners, so that they get them back after them.
pub(crate) const RELEASED: usize = 2;
/// The garbage collector deletes objects with their owners. Before the owners, so that they come back after them.
pub(crate) const DEPENDENTS: usize = 3;
/// Finalizers that were named are taken away.
pub(crate) const FINALIZERS: usize = 4;
/// The objects go while the owners of their finalizers run.
pub(crate) const OBJECTS: usize = 5;
/// Objects of Helm releases go: they come back after Helm's own manifests.
pub(crate) const HELM_OBJECTS: usize = 6;
/// The owners of finalizers delete their products. After the objects, so that products are back before an owner makes new ones.
pub(crate) const PRODUCTS: usize = 7;
/// Products whose finalizer was taken away go: nobody else deletes them.
pub(crate) const STRIPPED_PRODUCTS: usize = 8;
/// The definitions of kinds go.
pub(crate) const DEFINITIONS: usize = 9;
/// The definitions of Helm releases go.
pub(crate) const HELM_DEFINITIONS: usize = 10;
/// The fence is taken away.
pub(crate) const NO_FENCE: usize = 11;

/// Whether Helm releases lose objects or definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HelmOwned {
    Nothing,
    /// Objects.
    Objects,
    /// Definitions, without which no object of the kind can come back.
    Definitions,
}

/// All stages. If Helm releases lose objects or definitions, everything that depends on them comes back as late as they do.
pub(crate) fn stages(concurrency: usize, helm_owned: HelmOwned) -> Vec<Stage> {
    let late_from = |from: HelmOwned| if helm_owned >= from { UndoAt::PostRollback } else { UndoAt::PreRollback };
    let late = late_from(HelmOwned::Objects);
    let stage = |name: &str, kind, undo_at| Stage::new(name, kind, undo_at, concurrency);
    // No workload starts before the kinds exist that it needs.
    let hold = |name: &str| stage(name, StageKind::Hold, late_from(HelmOwned::Definitions));
    let contract = |name: &str| stage(name, StageKind::Contract, UndoAt::PreRollback);
    let with_helm = |name: &str| stage(name, StageKind::Contract, UndoAt::PostRollback);
    let along = |name: &str| Stage { cascaded: true, ..stage(name, StageKind::Contract, late) };
    let established = |stage: Stage| Stage { settled: Some("Established".to_owned()), ..stage };
    vec![
        hold("Workloads that break without these kinds"),
        hold("Fence against new objects"),
        stage("References to owners that go", StageKind::Contract, late),
        along("What the garbage collector deletes with its owners"),
        stage("Finalizers", StageKind::Contract, late),
        stage("Objects", StageKind::Contract, late_from(HelmOwned::Definitions)),
        with_helm("Objects of Helm releases"),
        // The kinds of products stay. Products are back before the objects, so that no owner makes new ones.
        Stage { undo_at: UndoAt::PreRollback, ..along("What the owners of finalizers delete") },
        contract("What nobody else deletes now"),
        established(contract("Definitions")),
        established(with_helm("Definitions of Helm releases")),
        hold("End of the fence"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_that_of_its_stage() {
        let stages = stages(1, HelmOwned::Nothing);
        assert_eq!(stages.len(), NO_FENCE + 1);
        let cascaded: Vec<usize> = (0..stages.len()).filter(|index| stages[*index].cascaded).collect();
        assert_eq!(cascaded, [DEPENDENTS, PRODUCTS]);
        let late: Vec<usize> = (0..stages.len()).filter(|index| stages[*index].undo_at == UndoAt::PostRollback).collect();
        assert_eq!(late, [HELM_OBJECTS, HELM_DEFINITIONS]);
        let settled: Vec<usize> = (0..stages.len()).filter(|index| stages[*index].settled.is_some()).collect();
        assert_eq!(settled, [DEFINITIONS, HELM_DEFINITIONS]);
    }

    #[test]
    fn nothing_comes_back_before_what_it_hangs_on() {
        let late = |helm_owned| -> Vec<usize> {
            let stages = stages(1, helm_owned);
            (0..stages.len()).filter(|index| stages[*index].undo_at == UndoAt::PostRollback).collect()
        };
        let with_objects = [RELEASED, DEPENDENTS, FINALIZERS, HELM_OBJECTS, HELM_DEFINITIONS];
        assert_eq!(late(HelmOwned::Objects), with_objects);
        let mut with_kinds: Vec<usize> = (0..=NO_FENCE).collect();
        with_kinds.retain(|stage| ![PRODUCTS, STRIPPED_PRODUCTS, DEFINITIONS].contains(stage));
        assert_eq!(late(HelmOwned::Definitions), with_kinds);
    }
}
