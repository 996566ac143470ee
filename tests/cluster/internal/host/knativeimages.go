package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/tests/cluster/internal/image"
	"fairlead.dev/tests/cluster/internal/knative"
	"fairlead.dev/tests/cluster/internal/node"
	"fairlead.dev/tests/cluster/internal/state"
)

// One image is compressed while containerd unpacks another; each takes some 200
// MB while it is made.
const imagesAtOnce = 2

// loadKnativeImages makes the images that the node does not have yet.
func loadKnativeImages(ctx context.Context, folder state.Folder, record state.Record) error {
	listed, err := runInside(ctx, record, node.ListImages(), nil)
	if err != nil {
		return fmt.Errorf("list the node's images: %w", err)
	}
	present := strings.Fields(listed)
	scratch, err := os.MkdirTemp(folder.Path("node"), "knative-")
	if err != nil {
		return fmt.Errorf("make a folder for Knative's images: %w; make room for it", err)
	}
	defer os.RemoveAll(scratch)
	parts, ctx := errgroup.WithContext(ctx)
	parts.SetLimit(imagesAtOnce)
	for _, reference := range knative.Images() {
		if !slices.Contains(present, reference) {
			parts.Go(func() error { return makeKnativeImage(ctx, record, reference, scratch) })
		}
	}
	err = parts.Wait()
	// The binaries were in memory; an attached cluster's command lives on.
	debug.FreeOSMemory()
	return err
}

func makeKnativeImage(ctx context.Context, record state.Record, reference, scratch string) error {
	programs, err := knativePrograms()
	if err != nil {
		return err
	}
	name := node.Binary(reference)
	path := filepath.Join(scratch, name+".tar")
	spec := image.Spec{
		Binary:    filepath.Join(programs, name),
		Reference: reference,
		// Knative's pods refuse to run as root.
		User:        "65532:65532",
		Compression: image.Quick,
	}
	if _, err := image.WriteFile(spec, path); err != nil {
		return err
	}
	archive, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the image archive %s: %w; look at its folder", path, err)
	}
	defer archive.Close()
	if _, err := runInside(ctx, record, node.ImportImage(), archive); err != nil {
		return fmt.Errorf("import the image of %s: %w", name, err)
	}
	return nil
}
