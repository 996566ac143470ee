package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"fairlead.dev/tests/cluster/internal/state"
)

// Stop ends the cluster, however far it has come, and removes all of it.
func Stop(ctx context.Context, folder state.Folder) error {
	for folder.Exists() {
		lock, err := folder.Acquire()
		if err == nil {
			defer lock.Close()
			return folder.Remove()
		}
		if !errors.Is(err, state.ErrHeld) {
			return err
		}
		if err := folder.Kill(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end cluster %s: %w, its lock is still held; see who has it open: fuser %s",
				folder.Name(), context.Cause(ctx), folder.Path("box.lock"))
		case <-time.After(pollInterval):
		}
	}
	return state.Sweep(filepath.Dir(string(folder)), "")
}
