package host

import (
	"context"
	"fmt"

	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/state"
)

// Healthy asks the API server through the listener on the host.
func Healthy(ctx context.Context, folder state.Folder, record state.Record) error {
	api, err := Client(folder, record)
	if err != nil {
		return err
	}
	return api.Ready(ctx)
}

// Client speaks to the cluster from the host.
func Client(folder state.Folder, record state.Record) (*control.Client, error) {
	return control.NewClient(folder, fmt.Sprintf("https://127.0.0.1:%d", record.Port))
}
