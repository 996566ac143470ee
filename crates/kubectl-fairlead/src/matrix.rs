//! `matrix`: reads the files, and prints what follows from them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fairlead_job::args::Output;
use fairlead_job::code::Code;
use fairlead_job::codes::{release_matrix as codes, shared};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, report};
use fairlead_release_matrix::import::{Known, import};
use fairlead_release_matrix::matrix::Matrix;
use fairlead_release_matrix::plan::{Request, plan};
use fairlead_release_matrix::{graph, helm, json, lint, runbook, text};

use crate::form::{Form, refused};
use crate::matrix_args::{MatrixArgs, MatrixCommand};

/// Ten thousand releases fit in; what is larger is something else.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Carries out a command.
///
/// # Errors
///
/// `RM1…`, and `FL042` for a file that is not there.
pub fn run(args: &MatrixArgs, form: Form) -> anyhow::Result<ExitStatus> {
    let printed = match &args.command {
        MatrixCommand::Import { changelog, release, chart, namespace, output: _ } => {
            let text = read(changelog, &codes::NO_CHANGELOG)?;
            let known = Known { release: release.clone(), chart: chart.clone(), namespace: namespace.clone() };
            let imported = import(&named(changelog), &text, &known)?;
            for note in &imported.notes {
                tracing::warn!(code = codes::INCOMPLETE.id, "{note}");
            }
            imported.yaml
        }
        MatrixCommand::Lint { file, output: _ } => {
            let matrix = load(&file.matrix)?;
            lint::render(&matrix)
        }
        MatrixCommand::Graph { file, output: _ } => {
            let matrix = load(&file.matrix)?;
            match form {
                Form::Report(Output::Text) => graph::text(&matrix),
                Form::Mermaid => graph::mermaid(&matrix),
                _ => return Err(refused("text or mermaid").into()),
            }
        }
        MatrixCommand::Plan {
            file,
            from_release,
            to_release,
            every_release,
            rollback_safe: _,
            allow_point_of_no_return,
            output: _,
        } => {
            let matrix = load(&file.matrix)?;
            let request = Request {
                file: file.matrix.display().to_string(),
                from: from_release.clone(),
                to: to_release.clone(),
                every_release: *every_release,
                may_lose_way_back: *allow_point_of_no_return,
            };
            let plan = plan(&matrix, &request)?;
            match form {
                Form::Report(Output::Text) => text::render(&plan),
                Form::Report(Output::Json) => json::render(&plan)?,
                Form::Helm => helm::render(&plan)?,
                Form::Markdown => runbook::render(&plan, &request),
                _ => return Err(refused("text, json, helm or markdown").into()),
            }
        }
    };
    report::say(&printed)?;
    Ok(ExitStatus::Done)
}

/// Reads a matrix.
pub(crate) fn load(file: &Path) -> Result<Matrix, Failure> {
    let text = read(file, &codes::INVALID)?;
    let name = named(file);
    let documents = manifests::parse(&name, &text);
    let documents = documents.map_err(|error| Failure::caused(&codes::INVALID, "failed to read the matrix", error))?;
    Matrix::read(&name, &documents)
}

/// What messages call a file.
fn named(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The text of a file, or of standard input.
fn read(path: &Path, code: &'static Code) -> Result<String, Failure> {
    let name = named(path);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(&shared::ABSENT, format!("there is no file {name}")),
        _ => Failure::caused(code, format!("failed to read {name}"), error),
    };
    let mut bytes = Vec::new();
    let input: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    input.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        let limit = LARGEST / 1024 / 1024;
        return Err(Failure::new(code, format!("{name} is larger than {limit} MiB: is it the right file?")));
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| Failure::new(code, format!("{name} is no text: is it the right file?")))?;
    if text.trim().is_empty() {
        return Err(Failure::new(code, format!("{name} is empty")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::matrix_args::MatrixFile;

    const TEXT: Form = Form::Report(Output::Text);

    /// What a command says about a file with this content.
    fn said(content: &[u8], command: fn(PathBuf) -> MatrixCommand) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        fs::write(&file, content).expect("written");
        let args = MatrixArgs { command: command(file) };
        let error = run(&args, TEXT).expect_err("it is refused");
        let failure = error.downcast_ref::<Failure>().expect("it has a code");
        assert_eq!(failure.status(), ExitStatus::Usage);
        format!("{} {error:#}", failure.code.id).replace(&folder.path().display().to_string(), "")
    }

    fn lint(matrix: PathBuf) -> MatrixCommand {
        MatrixCommand::Lint { file: MatrixFile { matrix }, output: TEXT }
    }

    fn import(changelog: PathBuf) -> MatrixCommand {
        MatrixCommand::Import { changelog, release: None, chart: None, namespace: None, output: TEXT }
    }

    #[test]
    fn a_file_that_is_something_else_is_named() {
        let huge = vec![b' '; 17 * 1024 * 1024];
        for (content, expected) in [
            (&b"\n"[..], "/file is empty"),
            (&b"\x7fELF\x02\x01\x01\0\0"[..], "/file is no text: is it the right file?"),
            (&b"\xff\xfe#\0"[..], "/file is no text: is it the right file?"),
            (&huge[..], "/file is larger than 16 MiB: is it the right file?"),
        ] {
            assert_eq!(said(content, lint), format!("RM101 {expected}"));
            assert_eq!(said(content, import), format!("RM103 {expected}"));
        }
        let broken = said(b"a: [\n", lint);
        assert!(broken.starts_with("RM101 failed to read the matrix: /file: document 1 is not YAML, line 1: "), "{broken}");
        let other = said(b"# Changelog\n\n- a: b\n", lint);
        assert!(other.starts_with("RM101 failed to read the matrix: "), "{other}");
        let absent = run(&MatrixArgs { command: lint(PathBuf::from("/nonexistent/m.yaml")) }, TEXT);
        assert_eq!(absent.expect_err("it is not there").to_string(), "there is no file /nonexistent/m.yaml");
    }
}
