//! The way from one release to another, with all that is to be done on it.

mod step;

use fairlead_job::codes::release_matrix as codes;
use fairlead_job::failure::Failure;
use serde::Serialize;

use crate::command;
use crate::doubt::block_doubts;
use crate::matrix::Matrix;
use crate::path::{Question, counted, shortest};
use crate::reason::{Refused, refused};
use crate::rules::Rules;

use self::step::step;
pub use self::step::{Asked, Entry, Migration, PointKind, PointOfNoReturn, Step, Versions};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// File of the matrix, for commands that are printed.
    pub file: String,
    /// The release that runs.
    pub from: String,
    /// The release that is to run.
    pub to: String,
    /// Whether no release is left out.
    pub every_release: bool,
    /// Whether the way may include upgrades that cannot be rolled back.
    pub may_lose_way_back: bool,
}

impl Request {
    /// The command that asks this.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { file, from, to, every_release, may_lose_way_back } = self;
        let file = command::word(file);
        let mut command = format!("kubectl fairlead matrix plan --matrix {file} --from-release {from} --to-release {to}");
        command.push_str(if *every_release { " --every-release" } else { "" });
        command.push_str(if *may_lose_way_back { " --allow-point-of-no-return" } else { "" });
        command
    }
}

/// The way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Name of the Helm release, as far as it is known.
    pub release: String,
    /// Namespace of the Helm release, if the matrix names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The release that runs.
    pub from: String,
    /// The release that is to run.
    pub to: String,
    /// The upgrades, in their order; none where it runs already.
    pub steps: Vec<Step>,
    /// Why each release between the upgrades cannot be left out.
    pub stops: Vec<StopReason>,
    /// Entries of `blocked` about these upgrades that match no release, a sentence each.
    pub doubts: Vec<String>,
}

/// Why a release cannot be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopReason {
    /// The release.
    pub release: String,
    /// The upgrade that would leave it out.
    pub refused: Refused,
}

/// The way from one release to another.
///
/// # Errors
///
/// `RM102` for a release that is not there, `RM105` for one that is older, `RM104` where there is no way.
pub fn plan(matrix: &Matrix, request: &Request) -> Result<Plan, Failure> {
    let [from, to] = [matrix.find(&request.from)?, matrix.find(&request.to)?];
    if to < from {
        let message = format!("{} is older than {}: the matrix has no upgrade that leads back", request.to, request.from);
        return Err(Failure::new(&codes::BACKWARDS, message));
    }
    let Request { every_release, may_lose_way_back, .. } = *request;
    let rules = Rules::new(matrix);
    let question = Question { from, to, every_release, may_lose_way_back };
    let way = shortest(&rules, question).map_err(|obstacles| {
        let refusals = obstacles.iter().map(|(from, to, faults)| refused(&rules, *from, *to, *faults).line());
        let refusals: Vec<String> = refusals.collect();
        no_way(&rules, request, question, &refusals.join("; "))
    })?;
    let stops = way.windows(3).filter(|_| !every_release).map(|stop| {
        let faults = counted(&rules, stop[0], stop[2], may_lose_way_back);
        StopReason { release: matrix.version(stop[1]), refused: refused(&rules, stop[0], stop[2], faults) }
    });
    Ok(Plan {
        release: matrix.chart.release.clone().unwrap_or_else(|| matrix.name.clone()),
        namespace: matrix.chart.namespace.clone(),
        from: matrix.version(from),
        to: matrix.version(to),
        stops: stops.collect(),
        doubts: block_doubts(matrix, from + 1..=to),
        steps: way.windows(2).map(|pair| step(&rules, pair[0], pair[1])).collect(),
    })
}

/// Says what is in the way, and which looser question has an answer.
fn no_way(rules: &Rules<'_>, request: &Request, question: Question, obstacles: &str) -> Failure {
    let Request { from, to, .. } = request;
    let kind = match (question.every_release, question.may_lose_way_back) {
        (true, _) => "the upgrades from release to release do not all work",
        (false, false) => "no upgrades that can all be rolled back lead",
        (false, true) => "no upgrades lead",
    };
    let message = format!("{kind} from {from} to {to}; in the way: {obstacles}");
    let failure = Failure::new(&codes::NO_WAY, message);
    let looser = [(false, false), (false, true)].map(|(every_release, may_lose_way_back)| Request {
        every_release,
        may_lose_way_back,
        ..request.clone()
    });
    let found = looser.iter().find_map(|looser| {
        let Request { every_release, may_lose_way_back, .. } = *looser;
        let way = shortest(rules, Question { every_release, may_lose_way_back, ..question }).ok()?;
        let way: Vec<String> = way.iter().map(|release| rules.matrix.version(*release)).collect();
        let how = if may_lose_way_back { "With a point of no return" } else { "With fewer stops" };
        Some(format!("{how}: {}\n  {}\n", way.join(" -> "), looser.command()))
    });
    match found {
        Some(found) => failure.with_aftermath(found),
        None => failure,
    }
}

#[cfg(test)]
mod tests;
