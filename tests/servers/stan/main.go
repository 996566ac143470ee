// Command stan is a client of NATS Streaming for tests: it does what each line of its standard input says, and answers each with a line.
// With a command it does only that; a subscription then lasts until SIGTERM, and its position stays.
//
//	stan URL CLUSTER CLIENT [COMMAND]
//
//	publish CHANNEL COUNT
//	subscribe CHANNEL DURABLE GROUP INFLIGHT ACKS [WAIT]   from the beginning; - for no durable or group; acknowledges the first ACKS;
//	                                                what it does not acknowledge comes again after WAIT (1m)
//	received                                        how many messages have come
//	ack COUNT                                       acknowledges so many more
//	close                                           ends the subscription; its position stays
//	unsubscribe                                     deletes the subscription with its position
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	stan "github.com/nats-io/stan.go"
)

type client struct {
	connection   stan.Conn
	subscription stan.Subscription
	sync.Mutex
	received int
	acks     int
	held     []*stan.Msg
}

func main() {
	connection, err := connect()
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("connected")
	c := &client{connection: connection}
	defer connection.Close()
	if command := os.Args[4:]; len(command) > 0 {
		c.doOnly(command)
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := c.do(strings.Fields(lines.Text()))
		if err != nil {
			answer = "failed: " + err.Error()
		}
		fmt.Println(answer)
	}
}

func (c *client) doOnly(command []string) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	if _, err := c.do(command); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	if c.subscription != nil {
		<-ended
	}
}

// A busy machine may take long to answer, and a server that has just started does not hear the first requests. A server that is silent for
// minutes is the same one afterwards.
func connect() (connection stan.Conn, err error) {
	for range 20 {
		connection, err = stan.Connect(os.Args[2], os.Args[3], stan.NatsURL(os.Args[1]), stan.ConnectWait(5*time.Second), stan.Pings(5, 100))
		if err == nil {
			break
		}
		time.Sleep(250 * time.Millisecond)
	}
	return connection, err
}

func (c *client) do(words []string) (string, error) {
	switch words[0] {
	case "publish":
		count, _ := strconv.Atoi(words[2])
		for i := range count {
			if err := c.connection.Publish(words[1], []byte(strconv.Itoa(i))); err != nil {
				return "", err
			}
		}
		return "ok", nil
	case "subscribe":
		wait := time.Minute
		if len(words) > 6 {
			wait, _ = time.ParseDuration(words[6])
		}
		return "ok", c.subscribe(words[1], words[2], words[3], words[4], words[5], wait)
	case "received":
		c.Lock()
		defer c.Unlock()
		return strconv.Itoa(c.received), nil
	case "ack":
		count, _ := strconv.Atoi(words[1])
		return "ok", c.ack(count)
	case "close":
		return "ok", c.subscription.Close()
	case "unsubscribe":
		return "ok", c.subscription.Unsubscribe()
	}
	return "", fmt.Errorf("unknown: %v", words)
}

func (c *client) subscribe(channel, durable, group, inflight, acks string, wait time.Duration) (err error) {
	most, _ := strconv.Atoi(inflight)
	c.acks, _ = strconv.Atoi(acks)
	options := []stan.SubscriptionOption{stan.SetManualAckMode(), stan.DeliverAllAvailable(), stan.MaxInflight(most), stan.AckWait(wait)}
	if durable != "-" {
		options = append(options, stan.DurableName(durable))
	}
	if group == "-" {
		c.subscription, err = c.connection.Subscribe(channel, c.receive, options...)
	} else {
		c.subscription, err = c.connection.QueueSubscribe(channel, group, c.receive, options...)
	}
	return err
}

func (c *client) receive(message *stan.Msg) {
	c.Lock()
	defer c.Unlock()
	c.received++
	if c.acks > 0 {
		c.acks--
		_ = message.Ack()
		return
	}
	c.held = append(c.held, message)
}

func (c *client) ack(count int) error {
	c.Lock()
	defer c.Unlock()
	for ; count > 0 && len(c.held) > 0; count-- {
		if err := c.held[0].Ack(); err != nil {
			return err
		}
		c.held = c.held[1:]
	}
	// Those that are not there yet are acknowledged when they come.
	c.acks += count
	return nil
}
