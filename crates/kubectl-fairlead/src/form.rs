//! In which form a report is written: those of all programs, and those of the matrix alone.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fairlead_job::args::Output;
use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;

/// What `-o` says. Each command takes some of them; clap wants one type for a flag that all commands have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As every program has it.
    Report(Output),
    /// Commands for Helm.
    Helm,
    /// A runbook with check boxes.
    Markdown,
    /// A picture, as GitHub and GitLab draw it.
    Mermaid,
}

/// What `-o` takes where nothing else is said.
pub(crate) fn of_reports() -> impl TypedValueParser<Value = Form> {
    let values = Output::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(values).try_map(|text| parse(&text))
}

/// What `-o` takes where there is text only.
pub(crate) fn of_text() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(["text"]).try_map(|text| parse(&text))
}

/// What `-o` takes for a plan of releases.
pub(crate) fn of_plans() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(["text", "json", "helm", "markdown"]).try_map(|text| parse(&text))
}

/// What `-o` takes for a graph of releases.
pub(crate) fn of_graphs() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(["text", "mermaid"]).try_map(|text| parse(&text))
}

fn parse(text: &str) -> Result<Form, String> {
    Ok(match text {
        "helm" => Form::Helm,
        "markdown" => Form::Markdown,
        "mermaid" => Form::Mermaid,
        other => Form::Report(Output::from_str(other, false)?),
    })
}

impl Form {
    /// The form of a command on a cluster.
    ///
    /// # Errors
    ///
    /// `FL033` for a form that only the matrix has.
    pub(crate) fn report(self) -> Result<Output, Failure> {
        match self {
            Self::Report(output) => Ok(output),
            _ => Err(refused("text, json, yaml, junit or github")),
        }
    }
}

/// The failure of a command that comes in other forms only.
pub(crate) fn refused(others: &str) -> Failure {
    Failure::new(&shared::NO_SUCH_FORM, format!("this comes as {others}"))
}
