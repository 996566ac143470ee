//! The plan as a document.

use fairlead_job::failure::Failure;
use serde::Serialize;

use crate::document::API_VERSION;
use crate::plan::Plan;
use crate::reason::Reason;

/// `kind: ReleasePlan`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a Plan,
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [("code", self.code.id), ("message", &self.message)]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>()
            .serialize(serializer)
    }
}

/// The plan as JSON.
///
/// # Errors
///
/// None that is known of: all of it is text.
pub fn render(plan: &Plan) -> Result<String, Failure> {
    let document = Document { api_version: API_VERSION, kind: "ReleasePlan", plan };
    serde_json::to_string_pretty(&document).map(|text| text + "\n").map_err(Failure::input)
}
