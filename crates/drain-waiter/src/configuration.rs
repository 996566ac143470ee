//! What is drained: the section `drain` of the configuration file. Without one it is Kyma's legacy event bus, which is written down in the
//! same form.

use std::collections::BTreeSet;
use std::path::Path;

use fairlead_job::codes::shared;
use fairlead_job::configuration::{Section, section, section_of_text};
use fairlead_job::failure::Failure;
use fairlead_observe::source::Source;
use serde::Deserialize;
use serde_json::Value;

use crate::each::Entry;
use crate::entry::Intake;
use crate::sources::NamedSource;

const SECTION: &str = "drain";
const BUILT_IN: &str = include_str!("kyma-event-bus.yaml");

/// What is drained, and how its intake is closed. As it is written, an entry of the intake may stand for many objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Drain<I = Intake> {
    /// What must be empty.
    #[serde(default)]
    pub(crate) sources: Vec<NamedSource>,
    /// What takes messages.
    #[serde(default = "Vec::new")]
    pub(crate) intake: Vec<I>,
    /// Only while one of these kinds is served; always, when there is none.
    #[serde(default)]
    pub(crate) only_with: Vec<Named>,
    /// Entries that stand for no object, in words.
    #[serde(skip)]
    pub(crate) empty: Vec<String>,
}

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) group: String,
    pub(crate) kind: String,
}

impl Drain<Entry> {
    /// Reads the file, or what is built in. None where the file purges other kinds and drains nothing: there is no Kyma then.
    pub(crate) fn read(file: Option<&Path>) -> Result<Option<Section<Self>>, Failure> {
        let Some(file) = file else { return Self::built_in().map(Some) };
        let Some(drain) = section::<Self>(file, SECTION)? else {
            let has_purge = section::<Value>(file, "purge")?.is_some();
            return if has_purge { Ok(None) } else { Self::built_in().map(Some) };
        };
        drain.content.check().map_err(|what| invalid(&format!("{}: {what}", file.display())))?;
        Ok(Some(drain))
    }

    fn built_in() -> Result<Section<Self>, Failure> {
        let built_in = section_of_text("the built-in configuration", BUILT_IN, SECTION)?;
        built_in.ok_or_else(|| invalid("the built-in configuration is empty"))
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        if let Some(source) = self.sources.iter().find(|source| !names.insert(&source.name)) {
            return Err(format!("drain.sources: two are called {}", source.name));
        }
        expect_once(self.intake.iter().filter_map(Entry::one))?;
        self.intake.iter().try_for_each(|entry| match entry {
            Entry::One(Intake::Redirect(redirect)) if redirect.may_be_absent => {
                let target = Intake::Redirect(redirect.clone()).target();
                Err(format!("drain.intake: {target}: a redirect can say mayBeAbsent only beside `each`"))
            }
            entry => entry.example().check(),
        })
    }

    /// The same with an entry for each object that there is now.
    ///
    /// # Errors
    ///
    /// When the objects cannot be listed, or two entries mean the same object.
    pub(crate) async fn expand(&self, source: &Source<'_>) -> Result<Drain, Failure> {
        let (mut intake, mut empty) = (Vec::new(), Vec::new());
        for entry in &self.intake {
            match entry {
                Entry::One(one) => intake.push(one.clone()),
                Entry::Each(each) => match each.entries(source).await? {
                    Ok(entries) => intake.extend(entries),
                    Err(why) => empty.push(why),
                },
            }
        }
        expect_once(intake.iter()).map_err(|what| invalid(&what))?;
        Ok(Drain { sources: self.sources.clone(), intake, only_with: self.only_with.clone(), empty })
    }
}

/// Fails where two entries mean the same object.
fn expect_once<'a>(mut intake: impl Iterator<Item = &'a Intake>) -> Result<(), String> {
    let mut targets = BTreeSet::new();
    let twice = intake.find(|intake| !targets.insert(intake.target()));
    twice.map_or(Ok(()), |twice| Err(format!("drain.intake: {} stands twice", twice.target())))
}

fn invalid(what: &str) -> Failure {
    Failure::new(&shared::INVALID_CONFIGURATION, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(drain: &str) -> Result<Option<Drain<Entry>>, String> {
        let file = tempfile(&format!("apiVersion: fairlead.dev/v1\nkind: Configuration\n{drain}"));
        let read = Drain::read(Some(&file)).map(|section| section.map(|section| section.content));
        let _ = std::fs::remove_file(&file);
        read.map_err(|failure| failure.to_string())
    }

    fn tempfile(text: &str) -> std::path::PathBuf {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("drain-{}-{}.yaml", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn kyma_is_built_in_and_a_purge_of_other_kinds_has_none() {
        let built_in = Drain::read(None).expect("valid").expect("there").content;
        assert_eq!(
            built_in.intake[0].example().target().to_string(),
            "Deployment kyma-system/event-bus-event-publish-service"
        );
        assert_eq!(built_in.check(), Ok(()));
        assert!(read("layer: {}\n").expect("valid").is_some());
        assert!(read("purge: {kinds: []}\n").expect("valid").is_none());
    }

    #[test]
    fn a_section_is_read_whole() {
        let drain = read(
            "drain:\n  sources:\n  - name: workers\n    redelivery: 30s\n    kubernetes: {kind: Deployment, apiVersion: apps/v1, namespace: a, name: b, until: stopped}\n  \
             intake:\n  - scale: {namespace: a, name: b}\n  - suspend: {namespace: a, name: c}\n  \
             - redirect: {namespace: a, name: d, selector: {app: new}}\n  \
             - set: {apiVersion: example.com/v1, kind: Queue, name: e, field: [spec, paused], value: true}\n",
        );
        let drain = drain.expect("valid").expect("there");
        assert_eq!(drain.sources[0].redelivery, Some(Duration::from_secs(30)));
        let targets: Vec<String> = drain.intake.iter().map(|entry| entry.example().target().to_string()).collect();
        assert_eq!(targets, ["Deployment a/b", "CronJob a/c", "Service a/d", "Queue e"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let workload = "kubernetes: {kind: Deployment, apiVersion: apps/v1, namespace: a, name: b, until: stopped}";
        for (drain, expected) in [
            ("drain: {sources: [{kubernetes: {}}]}".to_owned(), "drain.sources[0]: a source needs a name"),
            ("drain: {sources: [{name: x}]}".to_owned(), "source x: it must have one kind beside its name"),
            ("drain: {sources: [{name: x, carrier: {}}]}".to_owned(), "source x: unknown variant `carrier`"),
            ("drain: {sources: [{name: x, kubernetes: {until: stopped}}]}".to_owned(), "source x: kubernetes"),
            (format!("drain: {{sources: [{{name: x, redelivery: soon, {workload}}}]}}"), "source x: redelivery \"soon\""),
            (format!("drain: {{sources: [{{name: x, {workload}}}, {{name: x, {workload}}}]}}"), "two are called x"),
            (
                "drain: {intake: [{scale: {namespace: a, name: b}}, {scale: {namespace: a, name: b}}]}".to_owned(),
                "Deployment a/b stands twice",
            ),
            ("drain: {intake: [{scale: {name: b}}]}".to_owned(), "missing field `namespace`"),
            ("drain: {intake: [{stop: {name: b}}]}".to_owned(), "unknown variant `stop`"),
            ("drain: {intake: [{redirect: {namespace: a, name: b, selector: {}}}]}".to_owned(), "has an empty selector"),
            (
                "drain: {intake: [{redirect: {namespace: a, name: b, selector: {app: c}, event: {url: x}}}]}".to_owned(),
                "drain.intake[0]: redirect.event: url \"x\" is no URL of http or https",
            ),
            (
                "drain: {intake: [{redirect: {namespace: a, name: b, selector: {app: c}, mayBeAbsent: true}}]}".to_owned(),
                "Service a/b: a redirect can say mayBeAbsent only beside `each`",
            ),
            (
                "drain: {intake: [{redirect: {namespace: a, name: b, selector: {app: c}, newSideDrains: 40}}]}".to_owned(),
                "redirect.newSideDrains: 40 is no duration like 30s or 2m",
            ),
            (
                "drain: {intake: [{redirect: {namespace: a, name: \"{each}-b\", selector: {app: c}}}]}".to_owned(),
                "drain.intake[0]: `{each}` stands for the name of an object, and the entry has no `each`",
            ),
            (
                "drain: {intake: [{each: {apiVersion: v1, kind: Namespace}, scale: {namespace: a, name: b}}]}".to_owned(),
                "drain.intake[0]: it stands for each Namespace, and `{each}` is neither in its namespace nor in its name",
            ),
            (
                "drain: {intake: [{each: {kind: Namespace}, scale: {namespace: \"{each}\", name: b}}]}".to_owned(),
                "drain.intake[0]: each: missing field `apiVersion`",
            ),
            (
                "drain: {intake: [{each: {apiVersion: v1, kind: Namespace}, scale: {namespace: \"{each}\"}}]}".to_owned(),
                "drain.intake[0]: scale: missing field `name`",
            ),
            (
                "drain: {intake: [{set: {apiVersion: v1, kind: Pod, name: b, field: [status, x], value: 1}}]}".to_owned(),
                "field \"status.x\" cannot be set",
            ),
        ] {
            let error = read(&drain).expect_err(expected);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
