// Command mailbox stands at both ends of an event mesh: it keeps what it is sent, or sends.
//
//	mailbox serve                               keeps every event that is posted to :8080; GET / lists them, and
//	                                            GET /lines has their ids and to which host and path they came
//	mailbox send --to URL --source S --type T --version V --count N
//	                                            posts N CloudEvents and prints their ids; fails unless each is accepted
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// A channel that delivers before it answers retries for 205 s when a subscriber is down: a sender that gives up earlier
// does not know whether its event will arrive.
const sendTimeout = 4 * time.Minute

// event is one delivery, as the subscriber got it.
type event struct {
	Host       string            `json:"host"`
	Path       string            `json:"path"`
	Attributes map[string]string `json:"attributes"`
	Data       string            `json:"data"`
}

// box keeps events in the order in which they came.
type box struct {
	mutex  sync.Mutex
	events []event
}

func (b *box) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if request.Method == http.MethodGet && request.URL.Path == "/lines" {
		for _, event := range b.events {
			fmt.Fprintln(response, event.Attributes["id"], event.Host, event.Path)
		}
		return
	}
	if request.Method == http.MethodGet {
		response.Header().Set("Content-Type", "application/json")
		json.NewEncoder(response).Encode(append([]event{}, b.events...))
		return
	}
	data, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	attributes := map[string]string{}
	for name, values := range request.Header {
		if attribute, found := strings.CutPrefix(strings.ToLower(name), "ce-"); found {
			attributes[attribute] = strings.Join(values, ",")
		}
	}
	b.events = append(b.events, event{Host: request.Host, Path: request.URL.Path, Attributes: attributes, Data: string(data)})
}

func send(arguments []string) error {
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	to := flags.String("to", "", "address of the broker")
	source := flags.String("source", "", "source of the events")
	kind := flags.String("type", "", "type of the events")
	version := flags.String("version", "", "eventtypeversion of the events")
	count := flags.Int("count", 1, "how many")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	client := http.Client{Timeout: sendTimeout}
	for number := range *count {
		request, err := http.NewRequest(http.MethodPost, *to, strings.NewReader(fmt.Sprintf(`{"number":%d}`, number)))
		if err != nil {
			return err
		}
		id := fmt.Sprintf("%s-%d-%d", *kind, time.Now().UnixNano(), number)
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": *source, "Ce-Type": *kind,
			"Ce-Eventtypeversion": *version,
		} {
			request.Header.Set(name, value)
		}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("event %s: %w", id, err)
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusAccepted {
			return fmt.Errorf("event %s: %s answers %s: %s", id, *to, response.Status, answer)
		}
		fmt.Println(id)
	}
	return nil
}

func main() {
	err := fmt.Errorf("usage: mailbox serve | mailbox send --help")
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = http.ListenAndServe(":8080", &box{})
	case len(os.Args) > 2 && os.Args[1] == "send":
		err = send(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
