package knative

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"fairlead.dev/tests/cluster/internal/control"
)

// WebhooksAnswer returns nil when objects are defaulted and validated. Available
// is not enough: the programs tell the API server only then what to ask them,
// and kube-proxy may be a second behind. Nothing is kept of what is tried here.
func WebhooksAnswer(ctx context.Context, client *control.Client) error {
	if err := defaulted(ctx, client, "/apis/eventing.knative.dev/v1/namespaces/"+Namespace+"/brokers",
		probe("eventing.knative.dev/v1", "Broker", object{}), "eventing.knative.dev/broker.class"); err != nil {
		return err
	}
	if err := defaulted(ctx, client, "/apis/messaging.knative.dev/v1/namespaces/"+Namespace+"/inmemorychannels",
		probe("messaging.knative.dev/v1", "InMemoryChannel", object{}), "messaging.knative.dev/subscribable"); err != nil {
		return err
	}
	return refused(ctx, client)
}

func probe(version, kind string, spec object) object {
	return object{
		"apiVersion": version,
		"kind":       kind,
		"metadata":   object{"name": "probe", "namespace": Namespace},
		"spec":       spec,
	}
}

// defaulted tries to create the object and looks for the annotation that only
// the webhook adds.
func defaulted(ctx context.Context, client *control.Client, path string, o object, annotation string) error {
	var created struct {
		Metadata struct{ Annotations map[string]string }
	}
	if err := client.TryCreate(ctx, path, o, &created); err != nil {
		return err
	}
	if created.Metadata.Annotations[annotation] == "" {
		return fmt.Errorf("the webhook does not see a new %s yet; see the logs of its pod", kindOf(o))
	}
	return nil
}

// refused tries to create a Trigger with an attribute that no event can have.
func refused(ctx context.Context, client *control.Client) error {
	const webhook = "validation.webhook.eventing.knative.dev"
	trigger := probe("eventing.knative.dev/v1", "Trigger", object{
		"broker":     "default",
		"filter":     object{"attributes": object{"Not-An-Attribute": "x"}},
		"subscriber": object{"uri": "http://probe.example"},
	})
	err := client.TryCreate(ctx, "/apis/eventing.knative.dev/v1/namespaces/"+Namespace+"/triggers", trigger, nil)
	switch {
	case err == nil:
		return errors.New("the webhook does not refuse a wrong Trigger yet; see the logs of its pod")
	case strings.Contains(err.Error(), webhook) && strings.Contains(err.Error(), "denied the request"):
		return nil
	}
	return err
}
