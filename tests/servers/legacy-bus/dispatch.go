package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	stan "github.com/nats-io/stan.go"
)

const (
	subscriptions = "/apis/eventing.kyma-project.io/v1alpha1/%ssubscriptions%s"
	// look is how often the cluster is asked for its Subscriptions.
	look = 500 * time.Millisecond
	// inFlight is how many events of a Subscription may be without an acknowledgement: a slow subscriber gets few of them twice.
	inFlight = 16
)

type subscription struct {
	Metadata struct {
		Name, Namespace, UID string
	}
	Spec struct {
		Endpoint string
		Source   string `json:"source_id"`
		Type     string `json:"event_type"`
		Version  string `json:"event_type_version"`
	}
}

type dispatcher struct {
	connection stan.Conn
	client     *http.Client
	api        api
	wait       time.Duration
	durables   map[string]stan.Subscription
}

// dispatch delivers until SIGTERM. The durables stay, and go on with the next process.
func dispatch(ended context.Context, connection stan.Conn) error {
	wait := time.Minute
	if text, found := os.LookupEnv("ACK_WAIT"); found {
		var err error
		if wait, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	api, err := inCluster()
	if err != nil {
		return err
	}
	d := &dispatcher{connection, &http.Client{Timeout: wait}, api, wait, map[string]stan.Subscription{}}
	for {
		if err := d.follow(); err != nil {
			fmt.Fprintln(os.Stderr, "warning:", err)
		}
		select {
		case <-ended.Done():
			return nil
		case <-time.After(look):
		}
	}
}

// follow makes the durables those of the Subscriptions that there are.
func (d *dispatcher) follow() error {
	var list struct{ Items []subscription }
	// Without the kind there are none.
	if err := d.api.get(fmt.Sprintf(subscriptions, "", ""), &list); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, s := range list.Items {
		there[s.Metadata.UID] = true
		// Not everything that a cluster holds can be subscribed to, and the others must not wait for it.
		if d.durables[s.Metadata.UID] != nil || s.Spec.Endpoint == "" || s.Spec.Source == "" || s.Spec.Type == "" || s.Spec.Version == "" {
			continue
		}
		durable, err := d.subscribe(s)
		if err != nil {
			return err
		}
		d.durables[s.Metadata.UID] = durable
		fmt.Println("subscribed", s.Metadata.Namespace+"/"+s.Metadata.Name)
		if err := d.ready(s); err != nil {
			return err
		}
	}
	for uid, durable := range d.durables {
		if !there[uid] {
			fmt.Println("unsubscribed", uid)
			if err := durable.Unsubscribe(); err != nil {
				return err
			}
			delete(d.durables, uid)
		}
	}
	return nil
}

func (d *dispatcher) subscribe(s subscription) (stan.Subscription, error) {
	deliver := func(message *stan.Msg) {
		if err := d.deliver(s, message); err != nil {
			fmt.Fprintln(os.Stderr, "warning:", s.Metadata.Namespace+"/"+s.Metadata.Name, err)
			return
		}
		message.Ack()
	}
	return d.connection.Subscribe(channel(s.Spec.Source, s.Spec.Type, s.Spec.Version), deliver, stan.SetManualAckMode(), stan.AckWait(d.wait),
		stan.MaxInflight(inFlight), stan.DurableName(s.Metadata.UID))
}

func (d *dispatcher) deliver(s subscription, message *stan.Msg) error {
	var e event
	if err := json.Unmarshal(message.Data, &e); err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, s.Spec.Endpoint, bytes.NewReader(e.Data))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": e.ID, "Ce-Source": e.Source, "Ce-Type": e.Type,
		"Ce-Eventtypeversion": e.Version, "Ce-Time": e.Time, "Ce-Redelivered": strconv.FormatBool(message.Redelivered),
	} {
		request.Header.Set(name, value)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", s.Spec.Endpoint, response.Status)
	}
	return nil
}

// ready writes what Kyma's controller says of a Subscription that has its durable.
func (d *dispatcher) ready(s subscription) error {
	now := time.Now().UTC().Format(time.RFC3339)
	conditions := []map[string]string{}
	for _, kind := range []string{"events-activated", "kn-subscription-ready", "is-ready"} {
		conditions = append(conditions, map[string]string{"type": kind, "status": "True", "last_transition_time": now})
	}
	path := fmt.Sprintf(subscriptions, "namespaces/"+s.Metadata.Namespace+"/", "/"+s.Metadata.Name+"/status")
	return d.api.patch(path, map[string]any{"status": map[string]any{"conditions": conditions}})
}
