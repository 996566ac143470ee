//! Puts a plan together: which objects of the intake change, and what speaks against the drain. Every source is opened here, before anything
//! is closed.

use std::collections::BTreeMap;

use fairlead_job::codes::drain_waiter as codes;
use fairlead_migration::change::{Change, Image, Images, Target};
use fairlead_migration::finding::Unchanged;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_observe::source::Source;

use crate::configuration::Intake;
use crate::intake::{Closing, rivals};
use crate::options::{Options, STEP};
use crate::sources::kubernetes::kind_of;
use crate::sources::{Place, Reader, refusal, target as source_target};
use crate::stages::{HOLDS, SWITCHES, stages};
use crate::surroundings::{autoscalers, sides};

/// Decides what is closed. Sources are opened where there is a place to open them from: not for a plan from files.
pub(crate) async fn make(source: &Source<'_>, options: &Options<'_>, place: Option<Place<'_>>) -> Result<Plan, Obstacle> {
    let mut plan = PlanBuilder::new(STEP, stages(options.concurrency));
    let (drain, mut changes, mut scaled) = (options.drain, BTreeMap::new(), Vec::new());
    for intake in &drain.intake {
        let (target, stage) = (intake.target(), if intake.is_switch() { SWITCHES } else { HOLDS });
        let kind = kind_of(&target);
        let image = source.get(&kind, target.namespace.as_deref().unwrap_or_default(), &target.name).await?;
        let Some(image) = image else {
            if intake.may_be_absent() {
                plan.keep(&Unchanged { target, reason: "does not exist".to_owned() });
            } else {
                plan.refuse(codes::NO_TARGET.finding(target, "it does not exist, or its kind is not served"));
            }
            continue;
        };
        match intake.close(&image, source.has_scale(&kind), options.release) {
            Closing::Refused(finding) => plan.refuse(finding),
            Closing::Already(reason) => plan.keep(&Unchanged { target, reason }),
            Closing::After(after) => {
                for finding in rivals(&target, &image) {
                    plan.warn(finding);
                }
                if matches!(intake, Intake::Scale(_)) {
                    scaled.push((target.clone(), image.clone()));
                }
                changes.insert((stage, target), (intake, image, after));
            }
        }
    }
    add_surroundings(source, &mut plan, &changes, &scaled).await?;
    for ((stage, target), (intake, before, after)) in changes {
        let reason = intake.reason().to_owned();
        plan.push(&Change { stage, target, images: Images::Update(before, after), reason });
    }
    add_sources(&mut plan, options, place).await;
    if !plan.refusals().is_empty() {
        let count = plan.refusals().len();
        let refusals = if count == 1 { "1 refusal".to_owned() } else { format!("{count} refusals") };
        plan.block(codes::NOT_BEGUN.blocked(format!("{refusals}, see below; until that is mended nothing is closed")));
    }
    Ok(plan.build())
}

type Changes<'i> = BTreeMap<(usize, Target), (&'i Intake, Image, Image)>;

async fn add_surroundings(
    source: &Source<'_>,
    plan: &mut PlanBuilder,
    changes: &Changes<'_>,
    scaled: &[(Target, Image)],
) -> Result<(), Obstacle> {
    let targets: Vec<Target> = scaled.iter().map(|(target, _)| target.clone()).collect();
    for finding in autoscalers(source, &targets).await? {
        if finding.code == codes::AUTOSCALED.id { plan.warn(finding) } else { plan.refuse(finding) }
    }
    for (intake, service, _) in changes.values() {
        if let Intake::Redirect(redirect) = intake {
            let [refusals, warnings] = sides(source, intake, redirect, service, scaled).await?;
            for finding in refusals {
                plan.refuse(finding);
            }
            for finding in warnings {
                plan.warn(finding);
            }
        }
    }
    Ok(())
}

/// Opens every source, and says what cannot be proven.
async fn add_sources(plan: &mut PlanBuilder, options: &Options<'_>, place: Option<Place<'_>>) {
    let drain = options.drain;
    let none = || source_target("*");
    if drain.sources.is_empty() && options.requires_proof {
        plan.refuse(codes::PROOF_REQUIRED.finding(none(), "the section `drain` names no source"));
    } else if drain.sources.is_empty() {
        let grace = humantime::format_duration(options.rules.grace);
        plan.warn(
            codes::NOTHING_PROVEN.finding(none(), format!("no source is named; the run waits {grace}, and that is all")),
        );
    } else if drain.intake.is_empty() {
        plan.warn(codes::NO_INTAKE.finding(none(), "no intake is named"));
    }
    let Some(place) = place else { return };
    let opened = drain.sources.iter().map(async |source| (&source.name, Reader::of(source, place).open().await));
    for (name, opened) in futures::future::join_all(opened).await {
        if let Err(error) = opened {
            plan.refuse(refusal(name, &error));
        }
    }
}
