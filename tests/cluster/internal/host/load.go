package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/image"
	"fairlead.dev/tests/cluster/internal/node"
	"fairlead.dev/tests/cluster/internal/state"
)

// LoadImage loads an image archive into the cluster's containerd and returns
// the names that the kubelet now knows.
func LoadImage(ctx context.Context, folder state.Folder, path string) ([]string, error) {
	record, err := running(folder)
	if err != nil {
		return nil, fmt.Errorf("load the image %s: %w", path, err)
	}
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	references, err := image.References(open)
	if err != nil {
		return nil, fmt.Errorf("load the image %s: %w", path, err)
	}
	archive, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load the image %s: %w; name an archive", path, err)
	}
	defer archive.Close()
	if _, err := runInside(ctx, record, node.ImportImage(), archive); err != nil {
		return nil, fmt.Errorf("load the image %s into cluster %s: %w", path, folder.Name(), err)
	}
	listed, err := runInside(ctx, record, node.ListImages(), nil)
	if err != nil {
		return nil, fmt.Errorf("list the images of cluster %s: %w", folder.Name(), err)
	}
	present := strings.Fields(listed)
	for _, reference := range references {
		if !slices.Contains(present, reference) {
			return nil, fmt.Errorf("load the image %s into cluster %s: %s is not listed there; name it in full, as in docker.io/fairlead/x:1.0",
				path, folder.Name(), reference)
		}
	}
	return references, nil
}

// running returns the record of a cluster whose node is up.
func running(folder state.Folder) (state.Record, error) {
	held, err := folder.Held()
	if err != nil {
		return state.Record{}, err
	}
	if !held {
		return state.Record{}, fmt.Errorf("cluster %s is down; run: cluster up --name %[1]s", folder.Name())
	}
	record, err := folder.Read()
	if err != nil {
		return state.Record{}, err
	}
	if !record.Ready || !record.Spec.Node || !record.Alive() {
		return state.Record{}, fmt.Errorf("cluster %s has no node that is ready; see: cluster status --name %[1]s", folder.Name())
	}
	return record, nil
}

// runInside runs one of the host's programs in the box's mounts, where
// containerd's socket is.
func runInside(ctx context.Context, record state.Record, program control.Program, input io.Reader) (string, error) {
	arguments := append([]string{"--target", strconv.Itoa(record.Pid), "--mount", "--", program.Name}, program.Args...)
	command := exec.CommandContext(ctx, "nsenter", arguments...)
	command.Stdin = input
	output, err := command.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", program.Name, context.Cause(ctx))
	}
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return "", fmt.Errorf("%s: %w: %s; see the log of containerd", program.Name, err, strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("run %s in the box: %w; run as root with nsenter and ctr installed", program.Name, err)
	}
	return string(output), nil
}
