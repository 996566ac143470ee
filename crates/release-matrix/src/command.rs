//! The command of an upgrade, as a shell takes it.

use crate::document::Chart;

/// What stands for a chart that the matrix does not name.
const UNKNOWN: &str = "CHART";

/// A word as a shell takes it.
pub(crate) fn word(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// The command of one upgrade to a version as the matrix has it.
///
/// `--reuse-values` would leave out defaults that the newer chart has and the older one had not; `--wait` makes Helm return when the new pods
/// are ready and the old ones are gone, which contractions rely on.
pub(crate) fn upgrade(chart: &Chart, matrix: &str, version: &str) -> String {
    let Chart { release, reference, namespace } = chart;
    let release = word(release.as_deref().unwrap_or(matrix));
    let reference = reference.as_deref().map_or_else(|| UNKNOWN.to_owned(), word);
    let namespace = namespace.as_deref().map(|it| format!(" -n {}", word(it))).unwrap_or_default();
    format!("helm upgrade {release} {reference}{namespace} --version {version} --reset-then-reuse-values --wait")
}
