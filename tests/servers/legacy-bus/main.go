// Command legacy-bus plays Kyma's legacy event bus (Kyma 1.11) for tests and for the demo, on a real NATS Streaming server:
//
//	legacy-bus publish URL CLUSTER CLIENT    takes events as the event bus does (:8080, POST /v1/events) and as the event service of an
//	                                         Application does (:8081, POST /APPLICATION/v1/events)
//	legacy-bus dispatch URL CLUSTER CLIENT   gives each legacy Subscription of the cluster a durable, called by its uid, and posts its events
//	                                         to the endpoint; what the endpoint does not take comes again after ACK_WAIT (1m)
//
// As Kyma's, a durable begins with what is published after it was made, and goes with its Subscription, whatever was left in it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	stan "github.com/nats-io/stan.go"
)

// event is what stands in a channel.
type event struct {
	ID      string `json:"id"`
	Source  string `json:"source"`
	Type    string `json:"type"`
	Version string `json:"version"`
	Time    string `json:"time"`
	Data    []byte `json:"data"`
}

func channel(source, kind, version string) string {
	return source + "." + kind + "." + version
}

func main() {
	if len(os.Args) != 5 {
		fail(fmt.Errorf("usage: legacy-bus publish|dispatch URL CLUSTER CLIENT"))
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	connection, err := connect(os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fail(err)
	}
	defer connection.Close()
	switch os.Args[1] {
	case "publish":
		err = publish(ended, connection)
	case "dispatch":
		err = dispatch(ended, connection)
	default:
		err = fmt.Errorf("unknown: %s", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

// connect waits for a server that is just starting. A connection that is lost ends the process: the next one makes its subscriptions anew.
func connect(url, cluster, client string) (connection stan.Conn, err error) {
	lost := stan.SetConnectionLostHandler(func(_ stan.Conn, reason error) { fail(reason) })
	for range 240 {
		connection, err = stan.Connect(cluster, client, stan.NatsURL(url), stan.ConnectWait(5*time.Second), stan.Pings(5, 24), lost)
		if err == nil {
			return connection, nil
		}
		time.Sleep(250 * time.Millisecond)
	}
	return nil, err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}
