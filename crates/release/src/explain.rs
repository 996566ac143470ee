//! `explain`: what a code means, of whatever job.

use fairlead_job::args::Output;
use fairlead_job::code::Code;
use fairlead_job::codes::{self, shared};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, report};
use serde_json::{Value, json};

use crate::status::require_form;

/// Explains a code; without one lists all of them.
///
/// # Errors
///
/// Where there is no such code.
pub fn explain(code: Option<&str>, output: Output) -> anyhow::Result<ExitStatus> {
    require_form(output)?;
    let found = match code {
        Some(id) => {
            let found = codes::find(id);
            Some(found.ok_or_else(|| Failure::new(&shared::UNKNOWN_CODE, format!("there is no code {id}")))?)
        }
        None => None,
    };
    let document = || found.map_or_else(|| codes::all().map(document).collect(), document);
    let line = |code: &'static Code| format!("{}  {:>3}  {}\n", code.id, code.exit.code(), code.title);
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&document())? + "\n",
        Output::Yaml => {
            let mut out = Vec::new();
            manifests::write_yaml(&mut out, &document())?;
            String::from_utf8(out)?
        }
        _ => match found {
            Some(code) => codes::explain(code.id).unwrap_or_default(),
            None => codes::all().map(line).collect(),
        },
    };
    report::say(&text)?;
    Ok(ExitStatus::Done)
}

fn document(code: &'static Code) -> Value {
    let Code { id, exit, title, cause, next } = code;
    json!({"code": id, "exitStatus": exit.code(), "title": title, "cause": cause, "next": next})
}
