package inside

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/cgroup"
	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/image"
	"fairlead.dev/tests/cluster/internal/node"
	"fairlead.dev/tests/cluster/internal/wait"
)

// startContainers starts containerd and gives it the images that every node
// needs.
func startContainers(ctx context.Context, config box.Config, s *supervisor, stage func(string)) error {
	if err := node.WriteFiles(config.Folder, cgroup.Name(config.Pid)); err != nil {
		return err
	}
	if err := s.keep(node.Containerd(config.Folder)); err != nil {
		return err
	}
	archives := map[string]string{}
	for _, reference := range []string{node.PauseImage, node.DNSImage} {
		name := node.Binary(reference)
		archives[name] = config.Folder.Path("node", name+".tar")
		spec := image.Spec{
			Binary:    filepath.Join(config.Programs, name),
			Reference: reference,
		}
		if _, err := image.WriteFile(spec, archives[name]); err != nil {
			return err
		}
	}
	// The binaries were in memory; the box lives on in a tenth of that.
	debug.FreeOSMemory()
	if err := wait.Until(ctx, "containerd answers", dialContainerd); err != nil {
		return err
	}
	for name, path := range archives {
		if err := importImage(ctx, s, path); err != nil {
			return fmt.Errorf("import the image of %s: %w", name, err)
		}
	}
	stage("containerd has the node's images")
	return nil
}

func dialContainerd(ctx context.Context) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", node.ContainerdSocket)
	if err != nil {
		return err
	}
	return connection.Close()
}

func importImage(ctx context.Context, s *supervisor, path string) error {
	archive, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w; look at its folder", path, err)
	}
	defer archive.Close()
	return s.finish(ctx, node.ImportImage(), archive)
}

func startNode(ctx context.Context, config box.Config, s *supervisor, client *control.Client, stage func(string)) error {
	for _, program := range []control.Program{
		control.Scheduler(config.Folder),
		node.Proxy(config.Folder),
	} {
		if err := s.keep(program); err != nil {
			return err
		}
	}
	if err := s.restart(node.Kubelet(config.Folder)); err != nil {
		return err
	}
	if err := s.finish(ctx, node.ApplyDNS(config.Folder), nil); err != nil {
		return err
	}
	if err := wait.Until(ctx, "the node is ready", client.NodeReady); err != nil {
		return err
	}
	stage("the node is ready")
	if err := wait.Until(ctx, "CoreDNS is available", func(ctx context.Context) error {
		return client.DeploymentAvailable(ctx, "kube-system", "coredns")
	}); err != nil {
		return err
	}
	stage("CoreDNS is available")
	return nil
}
