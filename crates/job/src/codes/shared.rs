//! Codes that every job has.

crate::codes! {
    /// Codes that every job has.
    pub list CODES;
    pub UNREACHABLE = "FL001", Interrupted, "The Kubernetes API cannot be reached",
        "No answer came, or the server no longer accepted our token (Helm re-creates ServiceAccounts of hooks), also after \
         all retries. Nothing was restored, because nothing can be.",
        "With the same --kubeconfig and --context, `kubectl auth whoami` says whether you are still logged in, and `kubectl cluster-info` \
         whether the address answers. Then run the same command again: it goes on where this run ended.";
    pub FORBIDDEN = "FL002", Refused, "A permission is missing",
        "The API server does not allow what has to be done, or answered 403. The message has the rules that are missing: every one \
         for writing, the first one for reading.",
        "Grant the rule that the message prints to whoever ran this (`kubectl auth whoami`; in a Job its ServiceAccount), then run \
         again.";
    pub REFUSED_BY_API = "FL003", Failed, "A change was refused",
        "Admission (a webhook or a policy), the schema of the kind, or a quota said no, or the job's own last look. The words are in the \
         message. What the run had changed before has been taken back.",
        "Fix what the message names, then run again: create a namespace that is missing, raise a quota, or have the policy or the webhook \
         allow the change or the deletion. If it must not, leave the object out (trigger-replicator: --exclude-namespace; legacy-purger: \
         the configuration).";
    pub DRIFT = "FL004", Drift, "Somebody else wrote what we would write",
        "Between the plan and the write another client created or changed the same fields of the same object.",
        "Look at the object and who manages it (`kubectl get … --show-managed-fields -o yaml`), then run again.";
    pub INPUT = "FL005", Usage, "An input file cannot be read",
        "The file cannot be opened or has no object in it, or a document in it is not YAML or JSON, or not a Kubernetes object, or an \
         object in it cannot be one of a cluster: a field has the wrong type, or two documents say different things about it.",
        "Fix the document that the message names by file and number; where none is named, see that the file can be read and what \
         should have written it has not failed.";
    pub DIRTY = "FL006", Dirty, "Failed, and not everything is as before",
        "A step failed, and what it had changed could not be taken back everywhere: somebody else changed those objects \
         meanwhile, or the API stopped answering.",
        "Remove what stands in the way, which the report says for each object, and run the command above, which takes back what \
         is left. Or put the objects right by hand: `kubectl fairlead export RELEASE FILE -n NAMESPACE --as-manifests` writes what \
         they were.";
    pub DEADLINE = "FL007", Deadline, "The deadline of the run has passed",
        "The run did not finish within --run-timeout and has taken back what it had changed.",
        "If the message names a cause, fix that. If not, raise --run-timeout (in the chart: runTimeout, activeDeadlineSeconds and Helm's --timeout together) and run again.";
    pub INTERRUPTED = "FL008", Interrupted, "The run was told to end",
        "SIGTERM, SIGINT or SIGHUP came: the pod was evicted or deleted, somebody pressed Ctrl-C, or a terminal is gone. Or the \
         --run-timeout of a rollback has passed. What was done stays done.",
        "Run the same command again: it finds what was done and does the rest.";
    pub CONFIGURATION = "FL009", Usage, "The connection to the cluster cannot be set up",
        "The kubeconfig is missing or damaged, names a context that it does not have, or this is no pod with a \
         ServiceAccount.",
        "Check with `kubectl config view`, or name another one with --kubeconfig and --context.";
    pub UNKNOWN_CODE = "FL010", Usage, "There is no such code",
        "Codes are two letters and three digits, and every program explains those of all.",
        "`kubectl fairlead explain` lists all codes.";
    pub STRICT = "FL011", Refused, "There are refusals, and --strict is set",
        "Some objects cannot be migrated. Without --strict they are reported and left alone; with it nothing is done at all.",
        "Fix what the report refuses, or leave those namespaces out (trigger-replicator: --exclude-namespace).";
    pub SNAPSHOT = "FL013", Failed, "The snapshot cannot be made",
        "The plan could not be written down or compressed, so nothing was changed.",
        "Correct what the message names. If it names nothing of yours, run again; if that fails, too, it is a bug: report it with the output \
         of `plan -o json`.";
    pub NOT_APPROVED = "FL012", Refused, "The plan is not the one that was approved",
        "What `apply` would write now is not what the plan given with --plan says: objects were added, removed or changed since.",
        "Make a new plan with `plan -o json`, look at what is different, have it approved, and run again.";
    pub LATE = "FL014", Failed, "Something did not happen in time",
        "What was created did not become what it should within the time allowed. The message says what, and what lies behind it \
         as far as that can be seen. Everything that this run had made has been taken back.",
        "Fix what the message names as the cause, then run again. --ready-timeout says for how long nothing may become ready.";
    pub HELD = "FL015", Held, "Another run is at work",
        "One run works on a release at a time. The other one holds the release's Lease, or was killed and its lease has not run \
         out yet. Nothing was changed.",
        "Wait for the other run, or run again: a lease that nobody renews runs out. `status` shows what is under way.";
    pub DAMAGED = "FL016", Refused, "The record of a run is damaged",
        "A Secret of the ledger is missing, was changed, or was written by a later version, so the run can be neither finished \
         nor undone from it. Nothing was changed.",
        "Bring the Secret that the message names back with `kubectl fairlead import RELEASE FILE -n NAMESPACE`. FILE is what `export` has \
         written, or a backup as `kubectl get secrets -o yaml` writes it; never give that to `kubectl create` or `apply`, because the garbage \
         collector deletes what it brings. A Secret that was changed has to be deleted first, with `kubectl delete secret NAME -n NAMESPACE`. \
         If a later version wrote it, use that version.";
    pub LEASE_OVER = "FL017", Interrupted, "The lease of the run has run out",
        "The API did not answer in time to renew it, or the process was paused; another run may have taken over, so this one has \
         stopped writing.",
        "See `status`; if nobody has taken over, run the same command again: it goes on where this run ended.";
    pub NOTHING_IN_FORCE = "FL018", Refused, "There is no such run to take back",
        "The ledger of the release holds no run that is in force and that was asked for.",
        "See `status` for what is in force, and check the release and its namespace (-n; of a job --release, --ledger-namespace).";
    pub LEASE_TOO_SHORT = "FL019", Usage, "The lease is too short",
        "A run may write until its lease ends less --request-timeout, and renews it when a third is over. With such a short one it \
         would never be allowed to write.",
        "Make --lease-duration at least one second and twice --request-timeout.";
    pub CANCELLED = "FL020", Failed, "A rollback has asked this run to end",
        "Somebody, or `helm rollback`, has begun to go back while this run was at work, or before it had begun. It has ended where it \
         was, and the rollback takes back what it had done.",
        "See `status` for what the rollback has done. To go forward again, run again when it has ended.";
    pub INVALID_CONFIGURATION = "FL022", Usage, "The configuration cannot be used",
        "The file given with --config says something that it may not, or is written otherwise than it must be. Nothing was read from \
         the cluster.",
        "Fix what the message names. `docs/purge-configuration.md` has the section `purge`, `docs/drain.md` the section `drain`, `docs/tables.md` the section `tables`, and \
         `docs/sources.md` what a drain can ask.";
    pub NOT_UNDONE_AGAIN = "FL023", Refused, "Going back to that revision would take doing something again",
        "A run that was in force at that revision has been taken back since, wholly or in part. A rollback takes back; it does nothing \
         again, because what there is to do may be something else by now. Nothing was changed.",
        "Go there with `helm upgrade`, with the chart and the values of that revision (`helm get values RELEASE --revision N`): its \
         jobs do it anew. Where Helm says that another operation is in progress, first go back to the revision that the message names.";
    pub CROSSED = "FL024", Refused, "Helm's order and ours do not fit",
        "Two runs have changed the same object. The newer change would be taken back after Helm has applied the old manifests, the \
         older one before it. Nothing was changed.",
        "Take both back by hand, in their order, with the command above; then `helm rollback` finds nothing left to do.";
    pub NOT_READY_YET = "FL025", Failed, "What has come back is not ready",
        "Before the new side goes, the old one must be there, so that there is always one of them. It was waited for as long as \
         --wait-timeout allows. Nothing of the new side was taken back.",
        "Fix what the message names, and run the command above. To go without it, run the same `rollback` by hand, without --wait-for.";
    pub HALF_TAKEN_BACK = "FL026", Refused, "A rollback has come half its way",
        "Helm, or somebody, has begun to go back: what was removed is there again, what was added is still there. To take that away now \
         would leave neither the new side nor the old one, as long as the old manifests are not there. Nothing was changed.",
        "Let the rollback come to its end first: `status` has the command. Then run again.";
    pub CHANGED_SINCE = "FL021", Drift, "Others have changed since what would be taken back",
        "Between the run and its rollback somebody has changed, deleted or created again some of its objects. Everything was looked at \
         before the first change, so nothing was taken back.",
        "Look at the objects that the report lists (`kubectl get … --show-managed-fields -o yaml`); then run the same command with \
         --on-drift keep, merge or overwrite.";
    pub PLAN_CHANGED = "FL027", Interrupted, "Another run has changed what there is to do",
        "While this run waited for the lock of the release, another run of the same step has begun, or has done a part of the work. The \
         plan does not hold any more. Nothing was changed.",
        "Run again: the plan is made anew.";
    pub NOT_DRAINED_YET = "FL028", Interrupted, "The way back waits for something that has not come",
        "Before a part of a run is taken back, something must be so: an old component ready, a new one drained. The run's ticket says \
         what, and the message why it is not so. Nothing of that part was taken back.",
        "Fix what the message names, then run the same rollback again: it goes on where it ended. Where an object is gone for good, \
         --without-missing goes on without it.";
    pub OTHER_EXECUTOR = "FL029", Refused, "This binary cannot carry out that run",
        "The run changed something that this binary has no executor for, tables of a database say. Its ticket is whole. Nothing was changed.",
        "Run the same command with the image or the binary that the message names.";
    pub NOT_PREPARED = "FL030", Refused, "Something is missing for the upgrade, or for its way back",
        "Each question of `kubectl fairlead check` that is answered with NO names what is missing. Nothing was changed.",
        "Do what the answer says, then check again.";
    pub NOT_AFTER = "FL031", Refused, "A Job that has to come before has failed, or has not come",
        "Jobs that are applied all at once wait for each other in the order of their weights (`--after-job`). The one that this \
         run has waited for has failed. Nothing was changed.",
        "Give the command in the message and fix what it says. Then `kubectl replace --force` all Jobs: `kubectl apply` leaves a Job that has \
         run as it is.";
    pub UNKNOWN_RELEASE = "FL032", Usage, "There is no such release",
        "Neither fairlead nor Helm has recorded anything under this name in this namespace.",
        "Check the name, the namespace and --context; the message names the releases that have runs.";
    pub NO_SUCH_FORM = "FL033", Usage, "The report does not come in that form",
        "Plans and reports of runs come in every form of `-o`; what is asked of a release comes as text, json or yaml; `unhold` and \
         `rollback --dry-run` write text only.",
        "Leave `-o` out, or ask for a form that the message names.";
    pub NOT_GONE_BACK = "FL034", Refused, "Helm has not gone back yet",
        "What is due after Helm has applied the old manifests would take away what those of today still use. Nothing was changed.",
        "Run the `helm rollback` that the message names first, then this command again. To take the rest back without Helm, say so with \
         --undo-at post-rollback.";
    pub UNFINISHED = "FL035", Refused, "An earlier run has not come to its end",
        "Its process died, or somebody has deleted its Job, which Helm 3 takes for success; what it holds may still be held. Nothing was \
         changed.",
        "Go back with `helm rollback`, or finish the run with the next upgrade: `status` has the commands.";
    pub IN_BACKGROUND = "FL038", Interrupted, "The run still goes on in the background",
        "What it has made is in force, and not everything that follows from it is there yet. The time of the process that watched it is \
         over. Nothing was taken back.",
        "Run the same command again, with a longer --run-timeout: it ends when everything is there. `status` says how far it is.";
    pub RESTED_UPON = "FL039", Refused, "A run that others may rest on cannot be taken back alone",
        "It was left to the background, and what it has made does not become ready. A newer run of the release is in force. Nothing was \
         taken back.",
        "Mend what the message names, and run the same command again; or take back both, the newer first, with the `rollback` of the message.";
    pub FLAG = "FL041", Usage, "A flag says something that it cannot",
        "The flag, or the variable FAIRLEAD_… that stands for it, has a value that the program does not understand.",
        "Give --log-level one of error, warn, info, debug and trace, or targets with one each: info,fairlead_kube_client=debug.";
    pub ABSENT = "FL042", Usage, "There is no such file",
        "A file or a folder that was named is not there, as this process sees it: relative paths begin in its working directory, and \
         in a pod there is only what is in the image or mounted.",
        "Correct the path. In a Job, mount what the path names.";
    pub OUTPUT = "FL043", Usage, "A file, or what goes to standard output, cannot be written",
        "There is a file of that name already, which is not overwritten; or its folder is not there, may not be written to, or is full.",
        "Name a file that does not exist yet, in a folder that is there. `-` stands for standard output.";
    pub ELSEWHERE = "FL044", Refused, "The runs of the release are kept in another store",
        "A release keeps its runs in one store: Secrets of the cluster, or a place that the binary of a step brings with it. Either a mark in the \
         cluster says that this is another store, or the cluster has runs in force and this command names another store. Nothing was changed.",
        "Where the message names another store, ask the binary that it names, with the flags of that store; if that store has no run of the release \
         any more, remove the mark with the `kubectl delete secret` of the message. Where it names the cluster's ledger, give the command of the \
         message, without the flags of the other store.";
    pub ANOTHER_RUN = "FL045", Refused, "The file holds another run of the same number",
        "The ledger was lost after the file was written, and runs since have numbers that the file has, too. The file cannot be imported beside \
         them. Nothing was changed.",
        "Take back the runs that are there with `rollback --to 0`, delete their tickets, import the file, and take back its runs, too: the message \
         has the commands. Or put objects right by hand: `kubectl fairlead export RELEASE OBJECTS -n NAMESPACE --as-manifests --tickets FILE` \
         writes what they were before the runs of the file, and how to delete those that were not there.";
    pub FIRST_HALF_FIRST = "FL046", Refused, "The first half of going back comes first",
        "What was removed or held comes back before the old manifests do, and what was added goes after them. Nothing was changed.",
        "Give the command that the message names, bring the old manifests, and then this command again. To take everything back at once, \
         leave --undo-at out.";
    pub NO_CREDENTIAL = "FL047", Usage, "There is no credential for the cluster",
        "The kubeconfig names a program that makes the credential, and it is missing, fails, or says something else; or a file with a token \
         is not there. Nothing was sent.",
        "Install the program that the message names, or log in again; `kubectl auth whoami`, with the same --kubeconfig and --context, says \
         whether it works. Then run again.";
}
