//! Puts a plan together: which objects of the intake change, and what speaks against the drain. Every source is opened here, before anything
//! is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fairlead_job::codes::drain_waiter as codes;
use fairlead_migration::change::{Change, Image, Images, Target};
use fairlead_migration::finding::Unchanged;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;

use crate::entry::{Intake, Redirect};
use crate::first_look::{self, Known};
use crate::intake::{Closing, in_other_release, rivals, ways_around};
use crate::options::{Options, STEP};
use crate::setting::rehearsed;
use crate::sources::{Place, target as source_target};
use crate::stages::{HOLDS, OLD_INTAKE, SWITCHES, available, passed, stages};
use crate::surroundings::{autoscalers, sides};

/// What becomes of an object: its entry, and how it is before and after. By stage and object.
type Changes<'a> = BTreeMap<(usize, Target), (&'a Intake, Image, Image)>;

/// Decides what is closed. Sources are opened where there is a place to open them from: not for a plan from files.
/// `time` is what the run has, where there is one.
pub(crate) async fn make(
    source: &Source<'_>,
    options: &Options<'_>,
    place: Option<Place<'_>>,
    time: Option<Duration>,
) -> Result<Plan, Obstacle> {
    let mut plan = PlanBuilder::new(STEP, stages(options.concurrency));
    let (drain, mut changes) = (options.drain, Changes::new());
    let (mut scaled, mut redirected, mut is_absent, mut absent) = (Vec::new(), Vec::new(), true, BTreeSet::new());
    for empty in &drain.empty {
        plan.warn(codes::NO_OBJECT.finding(source_target("drain"), empty.clone()));
    }
    for intake in &drain.intake {
        let (target, stage) = (intake.target(), if intake.is_switch() { SWITCHES } else { HOLDS });
        let kind = Kind::of(&target);
        let image = source.get(&kind, target.namespace.as_deref().unwrap_or_default(), &target.name).await?;
        let Some(image) = image else {
            if intake.may_be_absent() {
                absent.insert(target.clone());
                plan.keep(&Unchanged { target, reason: "does not exist".to_owned() });
            } else if source.api_version(&kind).is_some() {
                plan.refuse(codes::NO_TARGET.finding(target, "it does not exist"));
            } else {
                let message = format!("the cluster serves no kind {} in {}", target.kind, target.api_version);
                plan.refuse(codes::NO_TARGET.finding(target, message));
            }
            continue;
        };
        is_absent = false;
        let closing = intake.close(&image, source.has_scale(&kind), options.release);
        if let Closing::Refused(finding) = closing {
            plan.refuse(finding);
            continue;
        }
        // What is closed already has the same rivals, and must stay closed.
        for finding in rivals(&target, &image) {
            plan.warn(finding);
        }
        if intake.is_switch() {
            for finding in in_other_release(&target, &image, options.release).into_iter().chain(ways_around(&target, &image))
            {
                plan.warn(finding);
            }
        }
        match intake {
            Intake::Scale(_) => scaled.push((target.clone(), image.clone())),
            Intake::Redirect(redirect) => redirected.push((intake, redirect, image.clone())),
            Intake::Suspend(_) | Intake::Set(_) => {}
        }
        if let (Intake::Set(setting), Closing::After(after)) = (intake, &closing) {
            for finding in rehearsed(source, &target, setting, [&image, after]).await? {
                if finding.code == codes::NOT_CLOSABLE.id { plan.refuse(finding) } else { plan.warn(finding) }
            }
        }
        match closing {
            Closing::After(after) => {
                changes.insert((stage, target), (intake, image, after));
            }
            Closing::Already(reason) => plan.keep(&Unchanged { target, reason }),
            Closing::Refused(_) => {}
        }
    }
    if is_absent && !drain.intake.is_empty() && !drain.sources.is_empty() {
        let message = "of the named intake no object exists";
        plan.warn(codes::NO_INTAKE.finding(source_target("drain"), message));
    }
    let ending = add_surroundings(source, &mut plan, &redirected, &scaled, &mut changes).await?;
    for ((stage, target), (intake, before, after)) in changes {
        let reason = intake.reason().to_owned();
        plan.push(&Change { stage, target, images: Images::Update(before, after), reason });
    }
    first_look::add(&mut plan, options, &Known { absent, ending }, place, time).await;
    if !plan.refusals().is_empty() {
        let count = plan.refusals().len();
        let refusals = if count == 1 { "1 refusal".to_owned() } else { format!("{count} refusals") };
        plan.block(codes::NOT_BEGUN.blocked(format!("{refusals}, see below; until that is mended nothing is closed")));
    }
    Ok(plan.build())
}

/// Adds what is found around the intake, and gives workloads behind a redirected Service their stage. Returns the Services whose old side
/// ends with such workloads.
async fn add_surroundings(
    source: &Source<'_>,
    plan: &mut PlanBuilder,
    redirected: &[(&Intake, &Redirect, Image)],
    scaled: &[(Target, Image)],
    changes: &mut Changes<'_>,
) -> Result<BTreeSet<Target>, Obstacle> {
    let targets: Vec<Target> = scaled.iter().map(|(target, _)| target.clone()).collect();
    for finding in autoscalers(source, &targets).await? {
        if finding.code == codes::AUTOSCALED.id { plan.warn(finding) } else { plan.refuse(finding) }
    }
    let (mut ending, mut longest, mut starts) = (BTreeSet::new(), Duration::ZERO, Duration::ZERO);
    for (intake, redirect, service) in redirected {
        let sides = sides(source, intake, redirect, service, scaled).await?;
        for finding in sides.refusals {
            plan.refuse(finding);
        }
        for finding in sides.warnings {
            plan.warn(finding);
        }
        for old in sides.old {
            let Some(change) = changes.remove(&(HOLDS, old.clone())) else { continue };
            plan.stage(SWITCHES).undo_waits.extend(available(&old, &change.1));
            changes.insert((OLD_INTAKE, old), change);
        }
        if sides.ends {
            ending.insert(intake.target());
        }
        if changes.contains_key(&(SWITCHES, intake.target())) {
            longest = longest.max(redirect.new_side_drains);
            starts = starts.max(redirect.old_side_starts);
        }
    }
    plan.stage(SWITCHES).undo_waits.extend(passed(starts));
    plan.stage(SWITCHES).undone_waits.extend(passed(longest));
    Ok(ending)
}
