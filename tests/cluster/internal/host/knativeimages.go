package host

import (
	"context"
	"fmt"
	"io"
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

// One image is made while containerd unpacks another; each takes some 200 MB
// of memory meanwhile.
const imagesAtOnce = 2

// loadKnativeImages makes the images that the node does not have yet.
func loadKnativeImages(ctx context.Context, record state.Record) error {
	listed, err := runInside(ctx, record, node.ListImages(), nil)
	if err != nil {
		return fmt.Errorf("list the node's images: %w", err)
	}
	present := strings.Fields(listed)
	parts, ctx := errgroup.WithContext(ctx)
	parts.SetLimit(imagesAtOnce)
	for _, reference := range knative.Images() {
		if !slices.Contains(present, reference) {
			parts.Go(func() error { return loadKnativeImage(ctx, record, reference) })
		}
	}
	err = parts.Wait()
	// The binaries were in memory; an attached cluster's command lives on.
	debug.FreeOSMemory()
	return err
}

func loadKnativeImage(ctx context.Context, record state.Record, reference string) error {
	folder, err := knativePrograms()
	if err != nil {
		return err
	}
	built, err := image.Build(image.Spec{
		Binary:    filepath.Join(folder, node.Binary(reference)),
		Reference: reference,
		// Knative's pods refuse to run as root.
		User: "65532:65532",
	})
	if err != nil {
		return err
	}
	archive, output := io.Pipe()
	defer archive.Close() // Ends the writer if nobody reads to the end.
	go func() {
		_, err := built.Write(output)
		output.CloseWithError(err)
	}()
	if _, err := runInside(ctx, record, node.ImportImage(), archive); err != nil {
		return fmt.Errorf("import the image %s: %w", reference, err)
	}
	return nil
}
