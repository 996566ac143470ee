//! The stages of a drain, and what their undo waits for. The new side takes over before anything of the old one stops.

use std::time::Duration;

use fairlead_migration::change::{Image, Target};
use fairlead_migration::stage::{Stage, StageKind, UndoAt, UndoWait};

/// Services are redirected.
pub(crate) const SWITCHES: usize = 0;
/// Workloads stop.
pub(crate) const HOLDS: usize = 1;
/// Workloads stop that a Service has led to. Their connections end with their pods, and new ones lead elsewhere by then.
pub(crate) const OLD_INTAKE: usize = 2;

const OLD_INTAKE_NAME: &str = "Old intake, when new connections lead elsewhere";

/// A workload that comes back starts its pods: they pull no image, because they have run here before.
const AVAILABLE_TIMEOUT: Duration = Duration::from_mins(1);

/// All of them.
pub(crate) fn stages(concurrency: usize) -> Vec<Stage> {
    vec![
        Stage::new("Services that lead to the new side", StageKind::Switch, UndoAt::PostRollback, concurrency),
        Stage::new("Intake that is closed", StageKind::Hold, UndoAt::PreRollback, concurrency),
        Stage::new(OLD_INTAKE_NAME, StageKind::Hold, UndoAt::PreRollback, concurrency),
    ]
}

/// Whether workloads stop in it that a Service has led to.
pub(crate) fn is_old_intake(stage: &Stage) -> bool {
    stage.name == OLD_INTAKE_NAME
}

/// What a Service waits for before it leads back to this workload: that its pods serve again. None where that cannot be seen, or the
/// workload was not available before: then the wait would be in vain.
pub(crate) fn available(target: &Target, image: &Image) -> Option<UndoWait> {
    let conditions = image["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let was_available = conditions.any(|it| it["type"] == "Available" && it["status"] == "True");
    (target.kind == "Deployment" && was_available).then(|| UndoWait::Condition {
        target: target.clone(),
        condition: "Available".to_owned(),
        timeout_seconds: AVAILABLE_TIMEOUT.as_secs(),
    })
}

/// What passes before the Services lead back, so that the old side takes up its work, and after it, so that the new side drains.
pub(crate) fn passed(longest: Duration) -> Option<UndoWait> {
    let seconds = longest.as_secs() + u64::from(longest.subsec_nanos() > 0);
    (seconds > 0).then_some(UndoWait::Duration { seconds })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_waits_for_a_workload_that_was_available() {
        let target = |kind: &str| Target {
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            namespace: Some("a".to_owned()),
            name: "b".to_owned(),
        };
        let image = |is: &str| json!({"status": {"conditions": [{"type": "Progressing", "status": "True"}, {"type": "Available", "status": is}]}});
        let waits = |kind: &str, image: &Image| available(&target(kind), image).is_some();
        assert!(waits("Deployment", &image("True")));
        assert!(!waits("Deployment", &image("False")) && !waits("Deployment", &json!({})));
        assert!(!waits("StatefulSet", &image("True")));
    }

    #[test]
    fn a_part_of_a_second_is_waited_for_as_a_whole_one() {
        assert_eq!(passed(Duration::ZERO), None);
        assert_eq!(passed(Duration::from_millis(1)), Some(UndoWait::Duration { seconds: 1 }));
        assert_eq!(passed(Duration::from_secs(40)), Some(UndoWait::Duration { seconds: 40 }));
    }
}
