package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	stan "github.com/nats-io/stan.go"
)

// largest is how long a request may be: Kyma 1.11, resources/event-bus/values.yaml.
const largest = 64 << 10

// goodbye is how long clients are told to leave, before connections are closed.
const goodbye = 3 * time.Second

// legacyEvent is the body of a request. The event service has its source in the path.
type legacyEvent struct {
	Source  string          `json:"source-id"`
	Type    string          `json:"event-type"`
	Version string          `json:"event-type-version"`
	ID      string          `json:"event-id"`
	Time    string          `json:"event-time"`
	Data    json.RawMessage `json:"data"`
}

type intake struct {
	connection stan.Conn
	ended      context.Context
}

// publish serves until SIGTERM, and then finishes what has begun.
func publish(ended context.Context, connection stan.Conn) error {
	servers := []*http.Server{{Addr: ":8080", Handler: &intake{connection, ended}}, {Addr: ":8081", Handler: &intake{connection, ended}}}
	failed := make(chan error, len(servers))
	for _, server := range servers {
		go func() { failed <- server.ListenAndServe() }()
	}
	select {
	case err := <-failed:
		return err
	case <-ended.Done():
	}
	// Whoever sends meanwhile is told that the connection ends: a request that meets its end gets no answer.
	time.Sleep(goodbye)
	for _, server := range servers {
		patience, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := server.Shutdown(patience); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}

func (i *intake) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if i.ended.Err() != nil {
		response.Header().Set("Connection", "close")
	}
	if request.Method == http.MethodGet {
		fmt.Fprintln(response, "ok")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, largest))
	if err != nil {
		http.Error(response, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var legacy legacyEvent
	if err := json.Unmarshal(body, &legacy); err != nil || legacy.Type == "" || legacy.Version == "" {
		http.Error(response, fmt.Sprintf("no event: %v", err), http.StatusBadRequest)
		return
	}
	if application, found := strings.CutSuffix(request.URL.Path, "/v1/events"); found && application != "" {
		legacy.Source = strings.TrimPrefix(application, "/")
	} else if legacy.Source == "" {
		legacy.Source = request.Header.Get("Source-Id")
	}
	kept, err := json.Marshal(event{legacy.ID, legacy.Source, legacy.Type, legacy.Version, legacy.Time, legacy.Data})
	if err == nil {
		// Answers when the server has it.
		err = i.connection.Publish(channel(legacy.Source, legacy.Type, legacy.Version), kept)
	}
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	json.NewEncoder(response).Encode(map[string]string{"event-id": legacy.ID, "status": "published", "reason": ""})
}
