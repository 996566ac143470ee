//! The codes of legacy-purger. LP0 the whole run, LP1 what speaks against the purge, LP2 warnings.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub NOT_SAFE = "LP001", Refused, "Something still needs what would be removed",
        "A purge is done as a whole or not at all: the kinds themselves go, and with them every object. Each refusal in the report \
         names an object, what speaks against removing it, and what to do. Nothing was changed.",
        "Fix what the report refuses, see with `legacy-purger plan` that nothing is refused any more, then run again.";
    pub NOT_THERE = "LP002", Usage, "The configuration names what is not there",
        "A kind or a namespace in the section `purge` of the file given with --config does not exist, so nothing would be done about it, and \
         nobody would notice. A kind that an earlier run of this release has removed may be named. Nothing was changed.",
        "Correct what the message names, or take it out of the file.";
    pub UNREPLICATED = "LP101", Refused, "No Trigger delivers what the Subscription asks for",
        "There is no Trigger on the new mesh with the same filter and the same subscriber, at the Broker `default` of its namespace. \
         When the Subscription goes, nothing delivers its events.",
        "Run trigger-replicator, and look at what it refuses; or, if nobody needs these events, name the Subscription with \
         --allow-unreplicated NAMESPACE/NAME.";
    pub NOT_READY = "LP102", Refused, "The Trigger is not Ready",
        "The Trigger that is to deliver instead of the Subscription is there, but Knative does not say that it delivers. \
         Where nothing else speaks against the purge, `apply` waits for that as long as --ready-timeout.",
        "Fix what the condition in the message names (`kubectl describe trigger NAME -n NAMESPACE`); or name the Subscription with \
         --allow-unreplicated NAMESPACE/NAME.";
    pub NOT_PRECEDED = "LP103", Refused, "A step that must come first has not ended well",
        "What is purged may only go after that step of the same upgrade: what is in flight must have arrived before, for example. \
         `--require-step` names the step, or `drainedBy` of the configuration. A drain that has proven nothing does not count, nor one whose intake is open again.",
        "If the name is wrong, correct it. If not, turn that job on in the same `helm upgrade`. By hand: run its `apply`, see in `status` that its run is Committed and its intake closed, and \
         purge within --evidence-age. A drain that has proven nothing needs something to look at: name what must be empty under \
         `drain.sources` of the configuration.";
    pub CONSUMER_RUNS = "LP104", Refused, "A workload that needs these kinds is running",
        "The configuration names it under `consumers`: it breaks without these kinds, or creates their objects. It is not to be held \
         (`hold: false`), or cannot be: a DaemonSet, an object whose kind has no scale or which has no replicas, and one whose \
         spec.replicas is not set.",
        "Set `hold: true` for it in the configuration, or stop it: with `kubectl scale --replicas=0`, a DaemonSet with a nodeSelector that no \
         node fits. What can be neither held nor stopped has to be deleted, or taken out of the configuration if it needs these kinds no more. \
         Then run again.";
    pub HELM_OWNED = "LP105", Refused, "It belongs to a Helm release",
        "The release's record names it. When its kind is gone, Helm can neither upgrade nor uninstall that release, and a rollback \
         stops with `no matches for kind`.",
        "Name the release with --allow-helm-owned RELEASE. Or take it out of that release first: upgrade to a chart without it, which \
         deletes it, or keeps it where it has helm.sh/resource-policy: keep. What Helm keeps still has its marks: take them \
         away with `kubectl annotate KIND NAME meta.helm.sh/release-name- meta.helm.sh/release-namespace-`, those of Helm 2 with \
         `kubectl label KIND NAME heritage- release-`.";
    pub STORED_VERSIONS = "LP106", Refused, "The definition has objects stored in several versions",
        "status.storedVersions names more than one version, or one that is not served any more. The snapshot would be read in one \
         version, and what is stored in another might come back different.",
        "Migrate the stored objects to one version and take the others out of status.storedVersions; then run again.";
    pub CONVERSION_DOWN = "LP107", Refused, "The objects cannot be converted between versions",
        "The definition has a conversion webhook, and it does not answer. What is restored could not be read in every version that is \
         served.",
        "Fix the webhook that the message names; then run again.";
    pub TERMINATING = "LP108", Refused, "It is being deleted already",
        "Somebody else has deleted it, and it is there only until its finalizers are done. It is not this purge's, so its definition \
         must not go.",
        "Wait until it is gone, then run again. If it hangs because the controller that owns its finalizers is gone for good: kubectl -n \
         NAMESPACE patch KIND.GROUP NAME --type merge -p '{\"metadata\":{\"finalizers\":null}}', which takes all of them away.";
    pub UNKNOWN_SHAPE = "LP109", Refused, "The Subscription has none of the known shapes",
        "It has neither the fields of the legacy bus (event_type, source_id) nor those of later Kyma (sink, filter or types), so nobody \
         can say whether something still needs it.",
        "Look at its spec; delete it if it is a leftover, or name it with --allow-unreplicated NAMESPACE/NAME.";
    pub OTHER_RELEASE = "LP110", Refused, "The object belongs to another release",
        "Its annotation fairlead.dev/ticket says that another release has made it, and that release takes it back when it is rolled \
         back.",
        "Run the job with the --release that the message names.";
    pub OWNER_STOPPED = "LP111", Refused, "Nobody would finish the deletion",
        "Objects carry a finalizer whose owner does not run. Once deleted they would hang, and a deletion cannot be called back.",
        "Start the owner, where it is there with the command in the message; or, when it is gone for good, take the finalizer away with \
         --strip-finalizers FINALIZER.";
    pub NOT_CUSTOM = "LP112", Refused, "The kind is not defined by a custom resource definition",
        "It is served by an API server of its own, or built in. Its objects may be more than what is stored.",
        "Take it out of the configuration.";
    pub NOT_RESTORABLE = "LP113", Refused, "The definition could not be created again",
        "An older API server has accepted it, this one would not: with spec.preserveUnknownFields, say, or a schema that is not structural. \
         Deleted, it and all its objects could not come back.",
        "Bring the definition into a form that apiextensions.k8s.io/v1 accepts (the message says what is wrong), then run again.";
    pub SHARED_PRODUCTS = "LP114", Refused, "What would be deleted along is needed by objects that stay",
        "Without its finalizer's owner the purge deletes what that owner has made. Some objects of the kind stay, because the \
         configuration does not select them, and nobody can tell what was made for which.",
        "Start the owner instead of taking its finalizer away, or purge all objects of the kind.";
    pub OWNER_RUNS = "LP115", Refused, "The owner of the finalizer runs",
        "The finalizer was named with --strip-finalizers, and its owner, which is at work, would put it back and be surprised.",
        "Leave --strip-finalizers away: the owner finishes the deletion. Or stop the owner first.";
    pub NO_WAY = "LP116", Refused, "No events arrive at the Trigger",
        "A Trigger is there, and nothing brings it the events: on the mesh they go from the Application's Channel through a Knative \
         Subscription to the Broker of the namespace, and one of these links is missing. The legacy bus is the only way that they take \
         today.",
        "Run `trigger-replicator plan`: it makes what is missing, or says what keeps it from that. Or, if nobody needs these events, name \
         the Subscription with --allow-unreplicated NAMESPACE/NAME.";
    pub WAY_NOT_READY = "LP117", Refused, "The way of the events to the Trigger is not Ready",
        "Every link from the Application's Channel to the Broker of the namespace is there, and one of them does not work. Where \
         nothing else speaks against the purge, `apply` waits for that as long as --ready-timeout.",
        "Fix what the condition in the message names (`kubectl describe` of that object); or name the Subscription with \
         --allow-unreplicated NAMESPACE/NAME.";
    pub NEEDED = "LP118", Refused, "A Subscription that stays needs the EventActivation",
        "Without it the legacy bus delivers nothing of the Application into the namespace. A Subscription there is not purged, and \
         nothing on the mesh delivers to it instead.",
        "Run trigger-replicator, and look at what it refuses; or, if nobody needs these events, name that Subscription with \
         --allow-unreplicated NAMESPACE/NAME.";
    pub VOLUME = "LP119", Refused, "A volume would go with its owner",
        "The garbage collector deletes a PersistentVolumeClaim with the object that owns it, and storage deletes the data. A rollback brings \
         the claim back, and an empty volume.",
        "Take the ownerReference off the claim, so that it stays, and back it up; then run again.";
    pub NOT_RESTORABLE_TODAY = "LP120", Refused, "The object could not be created again",
        "A schema or an admission rule has become stricter since it was stored, or a webhook does not answer. Deleted, it could not come \
         back: the API server says to a create of it, which is only rehearsed, what the message says.",
        "Bring the object into a form that the API server accepts, or see that the rule lets it pass; then run again. Where the message speaks \
         of blockOwnerDeletion (OpenShift), allow the chart's accounts to update the finalizers of the owner's kind: in the values \
         `legacyPurger.rules`, {apiGroups: [GROUP], resources: [PLURAL/finalizers], verbs: [update]}. If you know that it would be created \
         when the other is gone, go without the rehearsal: --rehearse false.";
    pub UNKNOWN_FINALIZER = "LP121", Refused, "Nobody knows what a finalizer's owner deletes",
        "Objects that go carry a finalizer that is neither Kubernetes' own nor in the configuration. Its controller may delete something \
         elsewhere, a database in a cloud, say, which no rollback brings back; and if it does not run, the deletion hangs.",
        "If its controller deletes nothing elsewhere, or in the cluster only what may go for good: add the finalizer and the workload of \
         its controller to `finalizers` of the configuration, or name it with --allow-finalizers FINALIZER. If it does, take care of that \
         first.";
    pub NO_CONSUMER = "LP122", Refused, "A workload that the configuration names does not exist",
        "Under `consumers` the configuration names it as one that breaks without these kinds, or makes their objects. Nobody would hold it, or \
         see it run, if only its name is wrong.",
        "Correct the name, or take it out of the configuration. Where one configuration is for several clusters, write `optional: true` beside \
         the workload.";
    pub GOES_UNREPLICATED = "LP201", Done, "The Subscription goes although nothing delivers instead",
        "It was named with --allow-unreplicated.",
        "Nothing to do, if nobody needs its events.";
    pub FINALIZER_ALLOWED = "LP202", Done, "Objects go whose finalizer nobody is known to own",
        "It was named with --allow-finalizers. What its controller deletes elsewhere does not come back. The purge waits for it as long as \
         --deletion-timeout says; a deletion that hangs cannot be called back.",
        "See that its controller runs.";
    pub AUTOSCALED = "LP203", Done, "An autoscaler works on a workload that is held",
        "Kubernetes' own HorizontalPodAutoscaler rests while its workload has 0 replicas; others, like KEDA, may scale it up again.",
        "If it is driven by something else than Kubernetes' own autoscaler, pause that for the time of the upgrade.";
    pub DURABLES = "LP204", Done, "What waits in NATS Streaming cannot come back",
        "NATS Streaming names the durable of a Knative Subscription by its uid, and unsubscribes it when the Subscription is deleted: \
         events in it that are not delivered yet are lost. After a rollback the Subscription has a new durable that begins with new \
         events.",
        "See that the channels are drained before (NATS Streaming's :8222/streaming/channelsz?subs=1).";
    pub DEFINITION_STAYS = "LP205", Done, "The definition stays",
        "It still has objects that are not this purge's: of a later shape, or not selected. They would go with it.",
        "Nothing to do: those objects are what the definition is for.";
    pub NO_FENCE = "LP206", Done, "Objects may be created while they are purged",
        "There is no fence: it was turned off, the cluster serves no ValidatingAdmissionPolicy, or the kind is selected by labels. The \
         definition is deleted only if no object of its kind is there, looked at just before; whatever is created between that look \
         and the deletion, some milliseconds, goes with it, and is not in the snapshot.",
        "See that nobody creates such objects during the upgrade.";
    pub STRIPPED = "LP207", Done, "Finalizers are taken away",
        "They were named with --strip-finalizers. What their owner does outside the cluster does not happen; what it would delete in the \
         cluster is deleted.",
        "Nothing to do, if that owner is gone for good.";
    pub NOT_DRAINED = "LP208", Done, "Nothing proves that nothing is in flight",
        "The ledger of the release knows no run of the step that the configuration names under `drainedBy`. What is in flight when the \
         objects go, events of a legacy bus, say, is lost.",
        "See that publishers are stopped and nothing is pending before you apply.";
    pub GOES_WITH_HELM = "LP209", Done, "It goes although a Helm release names it",
        "The release was named with --allow-helm-owned. Until its chart does not name these kinds any more, Helm can neither upgrade nor \
         uninstall it. `helm rollback` brings it back after Helm's own manifests.",
        "Upgrade that release to a chart without these objects.";
    pub NO_EVENTS = "LP210", Done, "The Subscription gets no events today",
        "No EventActivation lets the events of its Application into its namespace, so the legacy bus delivers nothing to it. It goes \
         although no Trigger may replace it, and it is in the snapshot.",
        "Nothing to do, if that is right. If its events are missed: create the EventActivation, and run trigger-replicator first.";
    pub NOT_REHEARSED = "LP212", Done, "Not all was tried that would have to come back",
        "Whether the API server would create an object again is tried before the purge, with a create that is only rehearsed. Of a kind \
         with very many objects only a part is tried; where a webhook has side effects, or whoever asks may not create such objects, \
         none is. An object that is not valid any more would not come back.",
        "Nothing to do, if no schema and no admission rule of the kind has become stricter since its objects were stored.";
    pub TRACKED = "LP213", Done, "A GitOps tool has put it there, and puts it back",
        "Objects that go, or workloads that are held, carry the mark of Argo CD or Flux. It creates them again from its source, or the fence \
         denies that and its synchronisation fails; and it starts a workload that is held.",
        "Take the objects out of the source first, and see that the tool does not prune them before the purge; or suspend it for the time of \
         the upgrade (Flux: `flux suspend`; Argo CD: turn automated synchronisation of the Application off).";
    pub OWNED_UNSEEN = "LP211", Done, "Nobody has looked what else the purged objects own",
        "The garbage collector deletes what an object owns with it. The purge keeps such objects in its snapshot only of the kinds that are \
         purged and of those under `dependents`; objects of other kinds would not come back.",
        "Set `owned: all` in the section `purge`: every kind that the cluster serves is looked at, which takes permission to list them. Or, \
         if these objects own nothing else, `owned: named`.";
    pub UNSEEN_GROUP = "LP214", Done, "A part of the cluster's kinds could not be looked at",
        "An aggregated API server does not answer, so nobody can tell which kinds it serves, or what purged objects own among them. The \
         garbage collector deletes such objects with their owner once that server is back, and they are not in the snapshot.",
        "See that the API is available (`kubectl get apiservices`), then run again. If its objects have no such owners (metrics have none), \
         nothing is to be done.";
    pub OTHER_LEDGER = "LP215", Done, "The Triggers that deliver instead belong to another ledger",
        "Another release, or the same one with its ledger in another namespace, has made them. Whoever takes that release back deletes \
         them, whatever this one has purged: then nothing delivers the events. Within one ledger runs are taken back in the right order.",
        "Purge with the --release and --ledger-namespace that the message names. If it stays so: take the purge back before that other run.";
    pub UNMATCHED = "LP216", Done, "A name that was given fits nothing",
        "On the command line, a flag that allows something names an object, a Helm release or a finalizer, and nothing of what is purged has \
         that name. In the configuration, a kind under `stays` is not served and is nearly the name of another, or a workload under \
         `consumers` is not among the files. The name may be misspelt, or not be needed any more. Files have no ledger, so of --require-step \
         nothing can be told from them.",
        "Compare the name with what there is; correct it, or take it away where nothing has it.";
    pub NO_SECTION = "LP217", Done, "The configuration does not say what is purged",
        "The file given with --config has no section `purge`. Then the built-in one holds, which is Kyma's legacy event bus.",
        "Nothing to do, if that is meant. Otherwise write the section, or give the file that has it.";
    pub OLDER_GROUP = "LP218", Done, "There are Subscriptions of an older group",
        "Before Kyma 1.0 Subscriptions had the group eventing.kyma.cx. The legacy bus of Kyma 1.x does not deliver for them, and the purge \
         leaves them and their definition.",
        "If nobody wants them any more, delete them and their definition: kubectl delete crd subscriptions.eventing.kyma.cx.";
    pub LEFT_BEHIND = "LP219", Done, "Something that a finalizer's owner has made is left behind",
        "The object that it was made for has gone, so its owner does not come back to it. It stays, and when somebody deletes it after the \
         owner has gone, its finalizer keeps it for ever.",
        "While the owner runs, look whether events wait there, then delete it. When nobody is left who takes its finalizer away: kubectl -n \
         NAMESPACE patch KIND.GROUP NAME --type merge -p '{\"metadata\":{\"finalizers\":null}}'.";
}
