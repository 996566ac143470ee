// Package image writes the image of one static binary as an archive that ctr,
// Docker and kind all load, without a container engine. The same input gives
// the same bytes.
package image

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"regexp"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec is the image that is asked for.
type Spec struct {
	Binary string
	// Reference is written in full, registry and tag included: containerd
	// completes no names.
	Reference string
	// User is numeric, so that the kubelet can tell that it is not root.
	User string
	// Entrypoint is where the binary is in the image; by default its own name.
	Entrypoint string
	Labels     map[string]string
	// Compressed is for an image that is published. One that only goes to the
	// node beside it would take twice as long.
	Compressed bool
}

// No user is root, which CoreDNS must be for its port.
var numericUser = regexp.MustCompile(`^([0-9]+(:[0-9]+)?)?$`)

// Image is an image and its name.
type Image struct {
	image     v1.Image
	reference name.Tag
}

// Build makes the image of spec.
func Build(spec Spec) (*Image, error) {
	reference, err := name.NewTag(spec.Reference, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("image reference %q: %w; write it in full, as in docker.io/fairlead/x:1.0", spec.Reference, err)
	}
	if !numericUser.MatchString(spec.User) {
		return nil, fmt.Errorf("image user %q: give numbers, as in 65532:65532; a pod that must not run as root is refused otherwise", spec.User)
	}
	binary, err := os.ReadFile(spec.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary %s: %w; build it first", spec.Binary, err)
	}
	architecture, err := staticArchitecture(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("make an image of %s: %w", spec.Binary, err)
	}
	created, err := creationTime()
	if err != nil {
		return nil, err
	}
	entrypoint := spec.Entrypoint
	if entrypoint == "" {
		entrypoint = "/" + path.Base(spec.Binary)
	}
	if !path.IsAbs(entrypoint) || path.Clean(entrypoint) != entrypoint || path.Dir(entrypoint) != "/" {
		return nil, fmt.Errorf("image entrypoint %q: name a file in the root folder, as in /x", entrypoint)
	}
	layer, err := layerOf(binary, entrypoint, created, spec.Compressed)
	if err != nil {
		return nil, err
	}
	configured, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), &v1.ConfigFile{
		Created:      v1.Time{Time: created},
		OS:           "linux",
		Architecture: architecture,
		Config:       v1.Config{Entrypoint: []string{entrypoint}, User: spec.User, Labels: spec.Labels},
		RootFS:       v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, fmt.Errorf("configure the image %s: %w; this is a defect, please report it", reference, err)
	}
	complete, err := mutate.Append(configured, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "fairlead cluster image"},
	})
	if err != nil {
		return nil, fmt.Errorf("add the binary %s to the image %s: %w; this is a defect, please report it", spec.Binary, reference, err)
	}
	return &Image{image: complete, reference: reference}, nil
}

// creationTime is SOURCE_DATE_EPOCH, as reproducible builds have agreed on, or
// the epoch: the time of day must not show in the bytes.
func creationTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: %w; set it to whole seconds since 1970", text, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
