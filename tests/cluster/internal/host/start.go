package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/tests/cluster/internal/state"
)

const pollInterval = 100 * time.Millisecond

// ErrAlreadyUp says that the cluster asked for is up and healthy.
var ErrAlreadyUp = errors.New("the cluster is up")

// Request is a start that is asked for.
type Request struct {
	Folder   state.Folder
	Spec     state.Spec
	Attached bool
	// Knative says that AddKnative is to follow.
	Knative bool
	// Timeout is for waiting for somebody else's box, and again for our own.
	Timeout time.Duration
	// Progress is told every stage as it is reached.
	Progress func(string)
}

// Start makes the cluster ready. The lock of an attached one is returned for
// End; a detached one holds its lock itself.
func Start(ctx context.Context, request Request) (*Box, *os.File, error) {
	if err := Check(request); err != nil {
		return nil, nil, err
	}
	if err := state.Sweep(filepath.Dir(string(request.Folder)), request.Folder); err != nil {
		return nil, nil, err
	}
	lock, err := acquire(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	started, err := run(ctx, request, lock)
	if err != nil {
		lock.Close()
		return nil, nil, err
	}
	return started, lock, nil
}

func run(ctx context.Context, request Request, lock *os.File) (*Box, error) {
	if err := request.Folder.Clear(); err != nil {
		return nil, err
	}
	started, err := launch(request, lock)
	if err != nil {
		return nil, err
	}
	err = started.awaitReady(ctx, request.Progress)
	if err == nil && !request.Attached {
		err = started.detach()
	}
	if err != nil {
		started.kill()
		return nil, err
	}
	return started, nil
}

// acquire takes the folder's lock. A detached cluster may be up already, or be
// on its way up or down by somebody else's hand: that is waited for.
func acquire(ctx context.Context, request Request) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, request.Timeout)
	defer cancel()
	for {
		lock, err := request.Folder.Acquire()
		if !errors.Is(err, state.ErrHeld) {
			return lock, err
		}
		record, err := request.Folder.Read()
		if err == nil && record.Ready && Healthy(ctx, request.Folder, record) == nil {
			return nil, alreadyUp(request, record)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("start cluster %s: an earlier one holds its folder but is not ready: %w; run: cluster down --name %[1]s",
				request.Folder.Name(), context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
}

func alreadyUp(request Request, record state.Record) error {
	name := request.Folder.Name()
	switch {
	case request.Attached:
		return fmt.Errorf("start cluster %s attached: it is up already; choose another --name or none", name)
	case request.Spec != record.Spec:
		return fmt.Errorf("start cluster %s: it is up already with other settings; run first: cluster down --name %[1]s", name)
	}
	return ErrAlreadyUp
}
