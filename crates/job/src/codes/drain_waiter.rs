//! The codes of drain-waiter. DW0 the whole run, DW1 what speaks against the drain or ends it, DW2 warnings.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub NOT_BEGUN = "DW001", Refused, "Something speaks against the drain",
        "Before the intake is closed, every source is opened and every object of the intake is looked at. Each refusal in the report names \
         one of them and the reason. Nothing was changed.",
        "Fix what the report refuses, and look again with the configuration of the run: the report ends with that command. Then run again.";
    pub NOT_EMPTY = "DW002", Refused, "The backlog is not empty",
        "`check` reads each source once. One of them has something left, or cannot say how much. Nothing was changed.",
        "Nothing, if `apply` is still to come: it closes the intake and waits. Otherwise see why the consumers of the source do not go on.";
    pub UNREACHABLE = "DW101", Refused, "The source cannot be reached",
        "Nothing answers under the address that the configuration names. A backlog that nobody can read is never taken for an empty one.",
        "Correct the address in the section `drain`, or start the server; a NetworkPolicy must let the job reach it.";
    pub DENIED = "DW102", Refused, "The source refuses the credentials",
        "The server answers, and does not let the job in. Credentials are read from the Secrets that the configuration names.",
        "Correct the Secret that the configuration names for this source, or what its user may read.";
    pub USELESS = "DW103", Refused, "The source has no useful answer",
        "The server answers, but there is no such stream, group, table or object, or the answer is no number.",
        "Correct what the section `drain` says of this source.";
    pub NO_CREDENTIALS = "DW104", Refused, "The credentials cannot be read",
        "The Secret that the configuration names does not exist, has no such key, or may not be read.",
        "Create the Secret, or correct its name and key in the section `drain`. The chart allows the job to read the named Secrets.";
    pub NO_TARGET = "DW105", Refused, "The intake names an object that is not there",
        "An intake that does not exist cannot be closed, and events may come in elsewhere.",
        "Correct its address in the section `drain`, or write `mayBeAbsent: true` if that is right in this cluster; a `redirect` can say that only beside `each`.";
    pub NOT_CLOSABLE = "DW106", Refused, "The intake cannot be closed in this way",
        "Only a kind with a scale can be scaled, only a CronJob can be suspended, and only a Service with a selector can be redirected.",
        "Use another kind of intake for this object: `scale`, `suspend`, `redirect` or `set`.";
    pub SCALED_BY_EVENTS = "DW107", Refused, "An autoscaler would start the workload again",
        "A ScaledObject of KEDA, or a HorizontalPodAutoscaler with minReplicas 0, scales up also from zero.",
        "Pause it for the upgrade, then run again. KEDA: annotate the ScaledObject with autoscaling.keda.sh/paused-replicas: \"0\". \
         HorizontalPodAutoscaler: set minReplicas to 1.";
    pub SAME_BREATH = "DW108", Refused, "The new side of a redirect is scaled down at the same time",
        "The new selector of a Service means pods of a workload that is to stop in the same run, so the Service would lead nowhere. The \
         workload of the old side may stop in the same run: it does so when new connections lead to the new side.",
        "Take the `scale` of this workload out of the intake, or correct the selector of the redirect so that it means the new side only.";
    pub NEW_SIDE = "DW109", Refused, "The new side of a redirect is not ready",
        "No pod that the new selector means is ready, or a ready one lacks a port of the Service, so the Service would lead nowhere.",
        "Start the new side and wait until its pods are ready, give them the port that the message names, or correct the selector in the section `drain`. \
         Kyma's compatibility layer comes with an upgrade before this one, with `kyma=arm`.";
    pub PROOF_REQUIRED = "DW110", Refused, "There is no source, and a proof is required",
        "--require-proof asks for a backlog that is proven empty. Without a source only time passes.",
        "Name a source in the section `drain`, or leave --require-proof out.";
    pub STALLED = "DW111", Refused, "The backlog does not shrink",
        "Nothing less was left for as long as --stall, beside the time after which the broker delivers again. The intake is open again.",
        "See why the consumers of this source do not go on, or why the pods of an intake that does not close do not end; then run again. A slow consumer takes a larger --stall.";
    pub HOPELESS = "DW112", Refused, "No waiting would empty the source",
        "The source says that something is left which nobody takes: a consumer that is offline, messages without a subscription, poison past \
         its limit, messages that the server deleted before they were read. If the intake had been closed, it is open again.",
        "Do what the message says: start the consumer, or take away what nobody needs; then run again.";
    pub MOVED = "DW113", Refused, "Somebody still publishes",
        "The end position moved after the intake was closed, so there is another intake. The intake is open again.",
        "Stop the publishers that the message names, or name their workload in `drain.intake`; then run again.";
    pub CAME_BACK = "DW114", Refused, "The intake was opened again while the job waited",
        "Somebody else wrote the fields that hold the intake closed. The job leaves what they wrote, and opens the rest.",
        "Stop whoever the message names for the upgrade (an operator, an autoscaler, a GitOps controller), then run again.";
    pub UNREADABLE = "DW115", Refused, "How much is left cannot be known",
        "The source cannot say how much is left, and an answer that only looks like zero does not count. The plan looks three times, a run \
         waits as long as --stall. If the intake had been closed, it is open again.",
        "Fix what the message says of the source, then run again.";
    pub NO_CERTIFICATE = "DW116", Refused, "There is no certificate",
        "No run of drain-waiter is recorded for this release with what it has seen.",
        "Run `drain-waiter apply` for this release; `kubectl fairlead status` shows its runs.";
    pub NOT_CERTIFIED = "DW117", Refused, "The certificate does not prove an empty backlog",
        "The document was changed, or what it holds does not meet its own rules. The message says which.",
        "Get the certificate again from the cluster; if it says the same, run `drain-waiter apply` again.";
    pub OTHER_RELEASE = "DW118", Refused, "The object belongs to another release",
        "Its annotation fairlead.dev/ticket says that another release has made it, and that release takes it back when it is rolled \
         back.",
        "Run the job with the --release that the message names.";
    pub TOO_LATE = "DW119", Refused, "The run would end before anything is proven",
        "A proof takes at least the grace period, and longer than the broker takes to deliver again. The run ends earlier, so the intake \
         would be closed in vain.",
        "Give the run more time with --run-timeout, or make the longest wait that the message names shorter.";
    pub NOT_REACHED = "DW120", Refused, "The event does not reach the new side",
        "After the redirect the job sends the event over new connections, until the answer is the expected one. Another one came for as long \
         as `within` of the event. kube-proxy follows a Service within about two seconds. The intake is open again, and the Service leads to \
         the old side.",
        "Compare the answer that the message names with `expect`. If it is that of the old side, see which pods the Service leads to with \
         `kubectl get endpointslices`, and whether the address is the Service's own. If nobody answers, see whether the pods of the new side \
         listen on the port, and whether a NetworkPolicy lets the job reach it. Then run again.";
    pub NO_SENTINEL = "DW121", Refused, "The sentinel cannot be published",
        "The configuration of the source asks for a sentinel: a message that is published when the intake is closed, and that every reader \
         must come past. The server does not take it, or a reader would never get it. If the intake had been closed, it is open again.",
        "Do what the message says: allow the user to publish there, name a subject or topic that takes the message, or leave `sentinel` out. \
         Then run again.";
    pub NEW_OBJECT = "DW122", Refused, "An object of the intake is new since the run began",
        "Somebody has made it after the run had looked what there is to close, so the run has not closed it, and events may come in there. \
         Nobody has opened anything. The intake is open again.",
        "Run again as the message says: the next run closes the new object, too. To keep that from happening again, make no such objects \
         during the upgrade.";
    pub NOTHING_PROVEN = "DW201", Done, "Nothing is proven, only time has passed",
        "The configuration names no source, so nobody has looked whether something is in flight. The job has waited for the grace period.",
        "Name a source in the section `drain`; --require-proof refuses to go on without one.";
    pub AUTOSCALED = "DW202", Done, "An autoscaler is on a workload that is scaled to zero",
        "A HorizontalPodAutoscaler does nothing while its workload has 0 replicas. It goes on when somebody starts the workload.",
        "Nothing, unless something else starts the workload.";
    pub OWNED = "DW203", Done, "The object belongs to a controller",
        "Its owner may write the same fields again at any moment. The run fails if that happens while it waits.",
        "Pause the owner for the upgrade, or close the intake in the owner: `set` writes any field.";
    pub SYNCED = "DW204", Done, "A GitOps controller applies the object",
        "With self-healing it writes the same fields again. The run fails if that happens while it waits.",
        "Suspend the synchronisation for the upgrade.";
    pub ABRUPT = "DW205", Done, "The old pods of a redirect end without waiting",
        "They have no preStop hook. A connection that is kept alive ends with its pod. A publisher whose request meets that end sees a reset, \
         and does not know whether its event was delivered. This matters when the workload is scaled down, in this run or later.",
        "Give their container a preStop hook of 5 s, and have the program finish its requests before it ends. Or see that the publishers \
         send again what was reset.";
    pub NO_INTAKE = "DW206", Done, "The job closes no intake",
        "The configuration names no intake, or none of the objects that it names exists. Somebody else must have closed it; the run fails where the end position moves.",
        "Name what takes messages in `drain.intake`, unless it is closed already.";
    pub NOT_KNOWN_YET = "DW207", Done, "The source does not say yet how much is left",
        "An object has no such condition or field now, or its status is older than its last change. Or others write to the table or the \
         stream at this moment. The run fails if that stays so for --stall.",
        "Nothing, if the closed intake ends that. Otherwise do what the message says, or correct the condition or the pointer.";
    pub NEW_FIELD = "DW208", Done, "The field that closes the intake is not there today",
        "The API server takes a field of any name where the definition keeps what it does not know. A misspelt field closes nothing.",
        "Compare the name with the definition of the kind, or with an object that is closed.";
    pub UNSEEN = "DW209", Done, "Nobody would see a message that still comes in",
        "A Service that leads elsewhere, or a field that has another value, ends no connection that is open. Only an end position that moves \
         shows that somebody still publishes, and no source has one.",
        "Name a source with an end position: `end` of a query, `ends` of HTTP, or a broker. Or name the workload that publishes under \
         `scale`; for a redirect that is the one behind the Service, which then stops after the redirect.";
    pub SAME_ANSWER = "DW210", Done, "The event does not tell the new side from the old one",
        "The event of a redirect expects a status only. The old side may answer the same, and then the event shows that somebody answers new \
         connections, and not who.",
        "Name under `expect` a header, or a value of the body, that only the new side answers.";
    pub SENDS = "DW211", Done, "The run sends messages of its own",
        "The configuration asks for an event or a sentinel. The event goes through a Service after its redirect, each time over a new \
         connection; both sides may get it. The sentinel goes into the queue when the intake is closed, and your consumers get it. A run sends \
         another one when messages came behind the first, and when it goes on after an interruption.",
        "See that whoever gets these messages bears them; a sentinel has the header Fairlead-Sentinel.";
    pub SAME_PODS = "DW212", Done, "The new selector means the pods of the old side, too",
        "Every pod that the Service leads to today has the labels of the new selector. The redirect then leads nothing away from them.",
        "Add a label to the new selector that only pods of the new side have, unless the Service leads to the new side already.";
    pub NOBODY_LISTENS = "DW213", Done, "Nobody listens at the address of an event now",
        "The job has tried to connect before anything is closed, and sent nothing. A Service without a ready pod refuses connections, so that \
         may change with the redirect. The run fails after the redirect if it stays so (DW120), and leads \
         the Service back.",
        "See that `url` of the event is the Service's own address and port, and that a NetworkPolicy lets the job reach it.";
    pub NEARLY = "DW214", Done, "A name that may be absent is nearly that of something that is there",
        "The configuration accepts that this name does not exist, and takes that for empty. Something else has nearly the same name, so the name \
         may be misspelt, and then nobody looks at the backlog that is meant.",
        "Compare the two names. Leave `whenAbsent: empty` out where the name must exist.";
    pub NO_OBJECT = "DW215", Done, "An entry that stands for each object of a kind stands for none",
        "An entry of the intake names a kind under `each`. The cluster does not serve that kind, or has no object of it. The entry closes \
         nothing then.",
        "Nothing, if this cluster has none of them. Otherwise correct `apiVersion` and `kind` under `each`.";
    pub OF_A_RELEASE = "DW216", Done, "A Service that is redirected is another Helm release's",
        "Helm writes the selector of a Service whenever it applies a chart that has it, also in a rollback. Then the Service leads to the old side again, \
         whether or not that is there. A chart without it takes the Service away.",
        "Take it out of that release before you upgrade or roll it back: `kubectl annotate service NAME helm.sh/resource-policy=keep`, then upgrade the \
         release to the same chart without the Service.";
    pub HEADLESS = "DW217", Done, "A Service that is redirected is headless",
        "A client of a headless Service asks the DNS for the addresses of pods, and connects to them. It may keep an address of the old side for \
         as long as it likes; a connection to it ends with the pod.",
        "See that the publishers look the name up again within seconds. Or name the workload behind the Service under `scale`: then it stops after \
         the redirect, and who still has its address must look it up again.";
    pub LOCAL = "DW218", Done, "A Service that is redirected leads only to pods of the same node",
        "With the policy Local kube-proxy leads a connection only to ready pods on the node where it comes in. On a node without a pod of the new \
         side it is refused or dropped from the redirect on.",
        "Run a pod of the new side on every node that publishers send from, or set the policy to Cluster for the migration: \
         `kubectl patch service NAME -p '{\"spec\":{\"internalTrafficPolicy\":\"Cluster\"}}'`.";
}
