//! The codes of this job. TR0 the whole run, TR1 refusals, TR2 warnings.

fairlead_job::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub(crate) NO_TRIGGER_KIND = "TR001", "The cluster serves no Trigger that can be written",
        "There are legacy Subscriptions to replicate, but triggers.eventing.knative.dev/v1 is not served: Knative Eventing is \
         not installed, or older than 0.16.",
        "Install or upgrade Knative Eventing first, then run again.";
    pub(crate) NO_ENDPOINT = "TR101", "The Subscription has no endpoint",
        "The legacy CRD does not require spec.endpoint. The legacy bus delivered such a Subscription's events nowhere, and a \
         Trigger needs a subscriber.",
        "Set spec.endpoint, or delete the Subscription if nobody needs it.";
    pub(crate) BAD_ENDPOINT = "TR102", "The endpoint is not an http or https address",
        "Events are posted by HTTP; nothing can be posted to this address.",
        "Correct spec.endpoint of the Subscription to an http:// or https:// URL with a host.";
    pub(crate) BAD_FIELDS = "TR103", "A required field is missing, empty or not a string",
        "In a Trigger's filter an empty value means any event, so an empty field must not be copied.",
        "Set source_id, event_type and event_type_version of the Subscription to non-empty strings.";
    pub(crate) UNKNOWN_SHAPE = "TR104", "The Subscription has none of the known shapes",
        "It has neither the fields of the legacy bus (event_type, source_id) nor those of later Kyma (sink, filter or types).",
        "Look at its spec; delete it if it is a leftover.";
    pub(crate) NAMESPACE_TERMINATING = "TR105", "The namespace is being deleted",
        "Nothing can be created in a namespace that is being deleted, and the Subscription is about to go, too.",
        "Wait until the namespace is gone. If it hangs, see its status.conditions.";
    pub(crate) SUBSCRIPTION_TERMINATING = "TR106", "The Subscription is being deleted",
        "Somebody has deleted it; it is there only until its finalizers are done. A Trigger would outlive it.",
        "Wait until it is gone. If it hangs, look whether the controller that owns its finalizers runs.";
    pub(crate) NAME_TAKEN = "TR107", "A Trigger of this name does something else",
        "The name belongs to this delivery (it ends with its hash), but the Trigger has another broker, filter or subscriber: \
         it was made or edited by somebody else.",
        "Compare its spec with the Subscription; rename or correct it, or delete it, then run again.";
    pub(crate) TRIGGER_TERMINATING = "TR108", "The Trigger is being deleted",
        "A Trigger for this delivery exists but is being deleted, so its name is not free yet.",
        "Wait until it is gone, then run again. If it hangs, see its metadata.finalizers.";
    pub(crate) OTHER_RELEASE = "TR109", "The Trigger belongs to another release",
        "Its annotation fairlead.dev/ticket says that another release has made it, and that release takes it back when it is \
         rolled back. Nothing has to be created; only the Subscription is not named on it.",
        "Run the job with the --release that the message names, or leave it: the delivery is there.";
    pub(crate) DOUBLE_DELIVERY = "TR201", "Events may be delivered twice",
        "Another Trigger may deliver the same events to the same subscriber: its filter is wider or different, it refers to \
         the same Service, or it is the same once more.",
        "If the subscriber cannot bear an event twice, delete the other Trigger.";
    pub(crate) NAME_HEADER = "TR202", "include_subscription_name_header is not carried over",
        "No component of Kyma 1.9 to 1.11 read this field, and Triggers have nothing like it.",
        "If the subscriber reads the header kyma-subscription, change it.";
    pub(crate) LABELS_DIFFER = "TR203", "Subscriptions for one Trigger have different labels",
        "They ask for the same delivery, so they share one Trigger; of a label with several values it has the one of the \
         first Subscription by name.",
        "Nothing to do, unless something selects Triggers by that label.";
    pub(crate) NO_BROKER = "TR204", "The namespace has no Broker",
        "Triggers get events from the Broker `default` of their namespace. Without it they are created all the same and begin to \
         deliver when it comes; they are not waited for.",
        "Create a Broker named default in that namespace; the Triggers need nothing else.";
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_is_complete() {
        assert_eq!(fairlead_job::code::defects("TR", super::CODES), Vec::<String>::new());
    }
}
