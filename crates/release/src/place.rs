//! Where the ledger of which release is, and the commands that are printed for it: all of them are made here, so that they can be pasted.

use fairlead_job::args::{ClusterArgs, ReleaseArgs};
use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_kube_client::access::{Access, KUBECTL_FLAGS, quoted};
use fairlead_kube_client::cluster::Cluster;

use crate::args::CommonArgs;

/// The kubectl plugin, as a binary that is asked; it has no step.
pub const PLUGIN: &str = "kubectl fairlead";

const HELM_FLAGS: [&str; 3] = ["kube-context", "kube-as-user", "kube-as-group"];

/// Where the ledger of which release is, and the binary that was asked.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Namespace of the ledger.
    pub namespace: &'a str,
    /// The release.
    pub release: &'a str,
    /// Name of the binary, which is a step, too, where it is a job's.
    pub binary: &'a str,
    /// Name of the Helm release.
    pub helm_release: &'a str,
    /// What was said about the cluster: whoever pastes a command must not end in another one.
    pub access: Access<'a>,
    /// Where the runs are not in the cluster's ledger: the flags that name that store, as they are written in a command.
    pub store_flags: Option<&'a str>,
    /// What people call that store.
    pub store_name: Option<&'a str>,
}

/// The cluster, as it was named.
pub(crate) fn access(args: &ClusterArgs) -> Access<'_> {
    Access {
        kubeconfig: args.kubeconfig.as_deref(),
        context: args.context.as_deref(),
        impersonate: args.impersonate.as_deref(),
        impersonate_groups: &args.impersonate_groups,
    }
}

/// Where the ledger is, for a binary of this name.
#[must_use]
pub fn place<'a>(common: &'a CommonArgs, cluster: &'a Cluster, binary: &'a str) -> Place<'a> {
    let namespace = common.release.ledger_namespace.as_deref().unwrap_or(cluster.default_namespace());
    let ReleaseArgs { release, .. } = &common.release;
    let helm_release = common.release.helm_name();
    Place { namespace, release, binary, helm_release, access: access(&common.cluster), store_flags: None, store_name: None }
}

impl Place<'_> {
    /// A command of the kubectl plugin: `kubectl fairlead rollback shop -n shops --last`; of the binary itself where only that has the store.
    #[must_use]
    pub fn command(&self, what: &str) -> String {
        let Self { namespace, release, binary, .. } = self;
        let (verb, more) = what.split_once(' ').map_or((what, String::new()), |(verb, more)| (verb, format!(" {more}")));
        if self.store_flags.is_some() {
            return self.of_job(binary, verb, &more);
        }
        format!("{PLUGIN} {verb} {release} -n {namespace}{more}{}{}", self.helm(), self.cluster(KUBECTL_FLAGS))
    }

    /// What brings back Secrets of the ledger that are gone.
    pub(crate) fn import(&self) -> String {
        self.command("import FILE")
    }

    /// A failure for want of a Secret of the ledger names what brings it back.
    pub(crate) fn with_import(&self, failure: Failure) -> Failure {
        if *failure.code != shared::DAMAGED || !failure.aftermath().is_empty() {
            return failure;
        }
        let (import, status) = (self.import(), self.command("status"));
        let next =
            format!("If the Secret is gone, and there is an export: {import}\nHow it goes on without one: {status}\n");
        failure.with_aftermath(next)
    }

    /// This command, and what helps where it cannot do it.
    pub(crate) fn or_by_hand(&self, command: &str) -> String {
        let manifests = self.command("export FILE --as-manifests");
        format!("{command}\nor, to put the objects right by hand, first what they were: {manifests}")
    }

    /// A command of a job, with what a run was told: `trigger-replicator apply --release shop …`.
    #[must_use]
    pub fn job_command(&self, job: &str, verb: &str, flags: &[String]) -> String {
        let told = [vec![String::new()], flags.iter().map(|flag| quoted(flag)).collect()].concat().join(" ");
        self.of_job(job, verb, &told)
    }

    fn of_job(&self, job: &str, verb: &str, more: &str) -> String {
        let Self { namespace, release, store_flags, .. } = self;
        let store = store_flags.map(|flags| format!(" {flags}")).unwrap_or_default();
        let (job, phase) = program(job);
        let phase = if more.contains("--phase") { "" } else { phase };
        format!(
            "{job} {verb} --release {release} --ledger-namespace {namespace}{phase}{more}{store}{}{}",
            self.helm(),
            self.cluster(KUBECTL_FLAGS)
        )
    }

    /// The way back through Helm. Always with its number: without one Helm goes to the revision before the last, which after a rollback
    /// that failed is the one that was to be left.
    #[must_use]
    pub fn helm_rollback(&self, revision: u32) -> String {
        let Self { namespace, helm_release, .. } = self;
        format!("helm rollback {helm_release} {revision} -n {namespace}{}", self.cluster(HELM_FLAGS))
    }

    /// The command that asks the jobs of a revision once more for their plans, with the configuration of its chart.
    #[must_use]
    pub fn check_of_hooks(&self, revision: u32) -> String {
        let Self { namespace, helm_release, .. } = self;
        let hooks =
            format!("helm get hooks {helm_release} --revision {revision} -n {namespace}{}", self.cluster(HELM_FLAGS));
        format!("{hooks} | {}", self.command("check --upgrade -"))
    }

    /// The command that ends an installation which has not come to its end.
    pub(crate) fn helm_uninstall(&self) -> String {
        let Self { namespace, helm_release, .. } = self;
        format!("helm uninstall {helm_release} -n {namespace}{}", self.cluster(HELM_FLAGS))
    }

    /// A command of kubectl's own in the release's namespace.
    #[must_use]
    pub fn kubectl(&self, what: &str) -> String {
        self.kubectl_in(self.namespace, what)
    }

    /// The same in another namespace.
    pub(crate) fn kubectl_in(&self, namespace: &str, what: &str) -> String {
        format!("kubectl -n {namespace} {what}{}", self.cluster(KUBECTL_FLAGS))
    }

    /// The flags that lead to the cluster, for a process that is started.
    pub(crate) fn cluster_arguments(&self) -> Vec<String> {
        self.access.flags(KUBECTL_FLAGS)
    }

    /// The same as they are written in a command; Helm has names of its own for some.
    fn cluster(&self, names: [&str; 3]) -> String {
        self.access.written(names)
    }

    fn helm(&self) -> String {
        let Self { release, helm_release, .. } = self;
        if helm_release == release { String::new() } else { format!(" --helm-release {helm_release}") }
    }
}

/// The program of a step, and the flag that names the step there.
fn program(step: &str) -> (&str, &'static str) {
    match step {
        "tables" => ("schema-migrator", ""),
        "tables-contract" => ("schema-migrator", " --phase contract"),
        "tables-finalize" => ("schema-migrator", " --phase finalize"),
        step => (step, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_command_can_be_pasted() {
        let place = Place {
            namespace: "shops",
            release: "system",
            binary: "job",
            helm_release: "shop",
            access: Access::USUAL,
            store_flags: None,
            store_name: None,
        };
        let elsewhere =
            Place { helm_release: "system", access: Access { context: Some("the other"), ..Access::USUAL }, ..place };
        assert_eq!(elsewhere.command("status"), "kubectl fairlead status system -n shops --context 'the other'");
        let elsewhere =
            Place { access: Access { kubeconfig: Some(Path::new("my clusters/a")), ..elsewhere.access }, ..elsewhere };
        let flags = "--kubeconfig 'my clusters/a' --context 'the other'";
        assert_eq!(elsewhere.command("status"), format!("kubectl fairlead status system -n shops {flags}"));
        assert_eq!(elsewhere.kubectl("logs job/a"), format!("kubectl -n shops logs job/a {flags}"));
        let plan = elsewhere.job_command("job", "plan", &[]);
        assert_eq!(plan, format!("job plan --release system --ledger-namespace shops {flags}"));
        let helm = "helm rollback system 2 -n shops --kubeconfig 'my clusters/a' --kube-context 'the other'";
        assert_eq!(elsewhere.helm_rollback(2), helm);
        let groups = ["on-call".to_owned()];
        let access = Access { impersonate: Some("eve"), impersonate_groups: &groups, ..Access::USUAL };
        let as_another = Place { access, ..place };
        assert_eq!(as_another.kubectl("logs job/a"), "kubectl -n shops logs job/a --as eve --as-group on-call");
        let helm = "helm rollback shop 2 -n shops --kube-as-user eve --kube-as-group on-call";
        assert_eq!(as_another.helm_rollback(2), helm);
        assert_eq!(place.command("status"), "kubectl fairlead status system -n shops --helm-release shop");
        let check = "helm get hooks shop --revision 3 -n shops | kubectl fairlead check system -n shops --upgrade - --helm-release shop";
        assert_eq!(place.check_of_hooks(3), check);
        let in_a_folder = Place { store_flags: Some("--store /srv/tickets"), ..place };
        let back = "job rollback --release system --ledger-namespace shops --to 0 --store /srv/tickets --helm-release shop";
        assert_eq!(in_a_folder.command("rollback --to 0"), back);
        assert_eq!(place.command("rollback --to 0"), "kubectl fairlead rollback system -n shops --to 0 --helm-release shop");
        let apply = place.job_command("tables-contract", "apply", &[]);
        assert!(
            apply.starts_with("schema-migrator apply --release system --ledger-namespace shops --phase contract"),
            "{apply}"
        );
        let flags = ["--exclude-namespace", "it's a", ""].map(str::to_owned);
        assert_eq!(
            place.job_command("job", "apply", &flags),
            r"job apply --release system --ledger-namespace shops --exclude-namespace 'it'\''s a' '' --helm-release shop"
        );
    }
}
