//! The codes of trigger-replicator. TR0 the whole run, TR1 refusals, TR2 warnings.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub NO_TRIGGER_KIND = "TR001", Refused, "The cluster serves no Trigger that can be written",
        "There are legacy Subscriptions to replicate, but triggers.eventing.knative.dev is served neither as v1 nor as v1beta1 \
         nor as v1alpha1: Knative Eventing is not installed.",
        "Install Knative Eventing first, then run again.";
    pub NO_FLOW_KIND = "TR002", Refused, "The cluster serves no kind that carries events to a Broker",
        "EventActivations ask for the events of Applications, and of Knative's Broker, Channel and Subscription at least one is not \
         served in a version that can be written.",
        "Install Knative Eventing with its messaging kinds first, then run again.";
    pub NO_ENDPOINT = "TR101", Refused, "The Subscription has no endpoint",
        "The legacy CRD does not require spec.endpoint. The legacy bus delivered such a Subscription's events nowhere, and a \
         Trigger needs a subscriber.",
        "Set spec.endpoint, or delete the Subscription if nobody needs it.";
    pub BAD_ENDPOINT = "TR102", Refused, "The endpoint is not an http or https address",
        "Events are posted by HTTP; nothing can be posted to this address.",
        "Correct spec.endpoint of the Subscription to an http:// or https:// URL with a host.";
    pub BAD_FIELDS = "TR103", Refused, "A required field is missing, empty or not a string",
        "In a Trigger's filter an empty value means any event, so an empty field must not be copied.",
        "Set source_id, event_type and event_type_version of the Subscription to non-empty strings.";
    pub UNKNOWN_SHAPE = "TR104", Refused, "The Subscription has none of the known shapes",
        "It has neither the fields of the legacy bus (event_type, source_id) nor those of later Kyma (sink, filter or types).",
        "Look at its spec; delete it if it is a leftover.";
    pub NAMESPACE_TERMINATING = "TR105", Refused, "The namespace is being deleted",
        "Nothing can be created in a namespace that is being deleted, and what asks for it is about to go, too.",
        "Wait until the namespace is gone. If it hangs, see its status.conditions.";
    pub SUBSCRIPTION_TERMINATING = "TR106", Refused, "The Subscription is being deleted",
        "Somebody has deleted it; it is there only until its finalizers are done. A Trigger would outlive it.",
        "Wait until it is gone. If it hangs, look whether the controller that owns its finalizers runs.";
    pub NAME_TAKEN = "TR107", Refused, "An object of this name does something else",
        "The name ends with a hash of what the object should do, but it does something else: it was made or edited by somebody \
         else.",
        "Compare its spec with what the message says; rename or correct it, or delete it, then run again.";
    pub TERMINATING = "TR108", Refused, "The object is being deleted",
        "What is needed exists but is being deleted, so its name is not free yet.",
        "Wait until it is gone, then run again. If it hangs, see its metadata.finalizers.";
    pub OTHER_RELEASE = "TR109", Refused, "The object belongs to another release",
        "Its annotation fairlead.dev/ticket says that another release has made it, and that release takes it back when it is \
         rolled back. It is there, and only not told what has changed since.",
        "Run the job with the --release that the message names.";
    pub NO_SOURCE_ID = "TR110", Refused, "The EventActivation names no Application",
        "Its CRD does not require spec.sourceId. The legacy bus let no events in for such an EventActivation.",
        "Set spec.sourceId to the name of the Application, or delete the EventActivation if nobody needs it.";
    pub NO_APPLICATION = "TR111", Refused, "The Application does not exist",
        "An EventActivation lets in the events of an Application that is not there and has no Channel, so nothing can send them.",
        "Create the Application, or delete the EventActivation, which is a leftover; then run again.";
    pub TWO_CHANNELS = "TR112", Refused, "The Application has more than one Channel",
        "Its events are sent to one of them, and nothing says to which.",
        "Take the label application-name off the Channels in kyma-integration that are not the Application's, then run again.";
    pub OTHER_CHANNEL = "TR113", Refused, "The Subscription carries from another Channel",
        "It is labelled for this Application and this namespace, but its spec.channel is not the Channel of the Application, and \
         Knative does not let that be changed.",
        "Delete it if nobody needs it, then run again: one for the right Channel is created.";
    pub BROKER_DISABLED = "TR114", Refused, "The namespace must have no Broker",
        "A label of the namespace (knative-eventing-injection or eventing.knative.dev/injection) is `disabled`, and an \
         EventActivation lets in events that only a Broker can take.",
        "Take the label away, or create the Broker `default` yourself, then run again.";
    pub NOT_TAKEN = "TR115", Refused, "The API server would refuse what is needed",
        "A label has at most 63 characters, a name 253, and all annotations of an object have 256 KiB together. What would be written \
         has more, or characters that may not be there, because it takes them from the object that asks for it.",
        "Change the label or the name that the message names where it comes from: give the EventActivation or the Application a \
         shorter name, or take the label off the Subscription; then run again.";
    pub DOUBLE_DELIVERY = "TR201", Done, "Events may be delivered twice",
        "Another Trigger may deliver the same events to the same subscriber: its filter is wider or different, it refers to \
         the same Service, or it is the same once more.",
        "If the subscriber cannot bear an event twice, delete the other Trigger.";
    pub NAME_HEADER = "TR202", Done, "include_subscription_name_header is not carried over",
        "No component of Kyma 1.9 to 1.11 read this field, and Triggers have nothing like it.",
        "If the subscriber reads the header kyma-subscription, change it.";
    pub LABELS_DIFFER = "TR203", Done, "Subscriptions for one Trigger have different labels",
        "They ask for the same delivery, so they share one Trigger; of a label with several values it has the one of the \
         first Subscription by name.",
        "Nothing to do, unless something selects Triggers by that label.";
    pub NO_BROKER = "TR204", Done, "The namespace has no Broker",
        "Triggers get events from the Broker `default` of their namespace. One is made where an EventActivation lets events in; \
         elsewhere Triggers are created all the same, begin to deliver when a Broker comes, and are not waited for.",
        "Create a Broker named default in that namespace; the Triggers need nothing else.";
    pub NO_ACTIVATION = "TR205", Done, "No EventActivation lets the events in",
        "The legacy bus delivered events of an Application only into namespaces with an EventActivation for it. The mesh does \
         the same: the Triggers are created, and no Subscription carries events to them.",
        "Nothing to do, if nothing was expected; else create a ServiceInstance of the Application's service.";
    pub NOT_MAPPED = "TR206", Done, "No ApplicationMapping allows the service",
        "The EventActivation is there, so the legacy bus delivered, and the mesh will. But the Application's service may not be \
         used in the namespace any more, so a new ServiceInstance would be refused.",
        "Restore the ApplicationMapping, or delete the ServiceInstance if the namespace should get no events.";
    pub NOT_ACTIVATED = "TR207", Done, "A ServiceInstance has no EventActivation",
        "Its provisioning failed before the first step, or a deprovisioning that raced with it took the EventActivation away \
         (kyma-project/kyma#6342). The legacy bus delivered nothing for it, and the mesh does the same.",
        "If its events are needed, delete the ServiceInstance and create it again, then run again.";
    pub TWO_SUBSCRIPTIONS = "TR208", Done, "Events are carried twice",
        "Two Subscriptions carry the same Application's events to the same Broker, so every Trigger there gets each event twice.",
        "Delete the one that the message names, unless the subscribers count on it.";
    pub DEPROVISIONING = "TR209", Done, "The EventActivation is being deleted, and still asked for",
        "One ServiceInstance is being deprovisioned while another one of the same service is there. Kyma would leave the namespace \
         without events (kyma-project/kyma#6342); the flow is made for the one that stays.",
        "See that the EventActivation comes back: else delete the ServiceInstance and create it again.";
    pub FLOW_REFUSED = "TR210", Done, "The way of the events is refused",
        "An EventActivation lets the Application's events in, but what would carry them is refused, for the reason given there. \
         The Triggers are created all the same, and deliver when the way is open.",
        "Fix what is refused, then run again: the Triggers need nothing else.";
    pub OLDER_GROUP = "TR212", Done, "There are Subscriptions of an older group",
        "Before Kyma 1.0 Subscriptions had the group eventing.kyma.cx. The legacy bus of Kyma 1.x does not deliver for them, and they \
         get no Triggers.",
        "If they are still wanted, create them in the group eventing.kyma-project.io; else delete them and their definition.";
    pub DEAD_SUBSCRIBERS = "TR211", Done, "A channel has subscribers whose Trigger is gone",
        "Several Triggers of one Broker were deleted at once, and Knative has left their subscribers in the channel behind it \
         (knative/eventing#6636). Whoever sends an event to the Broker waits for them in vain, up to minutes.",
        "While nothing is sent, delete the InMemoryChannel that the message names: Knative makes it again within a second, with the \
         subscribers that there are.";
    pub LONG_WAIT = "TR213", Done, "It takes Knative long to make so many Triggers ready",
        "At the limits that Knative has by default, its controllers make about one Trigger ready per second, whatever anybody does \
         (measured). `apply` waits as long as some become ready, and creates them no faster during half of its time. What is not ready when \
         --run-timeout is over goes on in the background: the legacy bus delivers still, `status` says how many are left, and a purge is \
         refused until all are ready.",
        "Nothing to do. To have it done in one run, raise --run-timeout (in the chart: runTimeout, activeDeadlineSeconds and Helm's \
         --timeout together).";
    pub ORPHANS = "TR214", Done, "A Trigger replicates what no Subscription asks for any more",
        "An earlier run made the Trigger for a legacy Subscription (annotation fairlead.dev/replicated-from). Since then somebody has \
         deleted that Subscription, or it asks for something else now. The Trigger delivers on.",
        "If nobody needs these events, delete the Trigger with the command in the message. If legacy-purger has removed the Subscription, \
         the Trigger has taken its place: leave it.";
}
