package inside

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/cgroup"
	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/wait"
)

// start brings up all that is asked for and returns when it is ready.
func start(ctx context.Context, config box.Config, s *supervisor, stage func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, config.Timeout, fmt.Errorf("not reached within %s", config.Timeout))
	defer cancel()
	if err := prepare(config); err != nil {
		return err
	}
	if err := control.WriteCredentials(config.Folder, config.Port); err != nil {
		return err
	}
	client, err := control.NewClient(config.Folder, "https://"+control.APIServerAddress)
	if err != nil {
		return err
	}
	// The node's images are made while the API server starts.
	parts, partsCtx := errgroup.WithContext(ctx)
	parts.Go(func() error { return startControlPlane(partsCtx, config, s, client, stage) })
	if config.Spec.Node {
		parts.Go(func() error { return startContainers(partsCtx, config, s, stage) })
	}
	if err := parts.Wait(); err != nil {
		return err
	}
	if config.Spec.Node {
		if err := startNode(ctx, config, s, client, stage); err != nil {
			return err
		}
	}
	if config.Spec.ControllerManager {
		return wait.Until(ctx, "the default ServiceAccount exists", client.DefaultServiceAccount)
	}
	return nil
}

func prepare(config box.Config) error {
	if config.Spec.Node {
		if err := hideHost(); err != nil {
			return err
		}
		if err := forwardPackets(); err != nil {
			return err
		}
		if err := cgroup.Create(cgroup.Name(config.Pid)); err != nil {
			return err
		}
	}
	if err := connect(); err != nil {
		return err
	}
	file := os.NewFile(box.ListenerFile, "listener")
	defer file.Close() // The listener has a copy.
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("take over the listener for the host: %w; this is a defect, please report it", err)
	}
	go forward(listener, control.APIServerAddress)
	return nil
}

func startControlPlane(ctx context.Context, config box.Config, s *supervisor, client *control.Client, stage func(string)) error {
	apiServer, err := control.APIServer(config.Folder, config.Spec)
	if err != nil {
		return err
	}
	// The API server waits for etcd by itself.
	for _, program := range []control.Program{control.Etcd(config.Folder), apiServer} {
		if err := s.keep(program); err != nil {
			return err
		}
	}
	if err := wait.Until(ctx, "the API server is ready", client.Ready); err != nil {
		return err
	}
	stage("the API server is ready")
	if !config.Spec.ControllerManager {
		return nil
	}
	return s.keep(control.ControllerManager(config.Folder))
}
