package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	ociLayout = `{"imageLayoutVersion":"1.0.0"}`
	// containerd takes the image's whole name from here; the standard
	// annotation holds the tag alone.
	containerdName = "io.containerd.image.name"
	standardName   = "org.opencontainers.image.ref.name"
)

// Summary is what identifies an image that was written.
type Summary struct {
	Reference string
	Digest    v1.Hash
	// Size of the compressed layers.
	Size int64
}

// Write writes the archive: an OCI layout, with Docker's own table of contents
// over the same blobs.
func (i *Image) Write(output io.Writer) (Summary, error) {
	files, summary, err := i.files()
	if err != nil {
		return Summary{}, fmt.Errorf("assemble the image %s: %w; this is a defect, please report it", i.reference, err)
	}
	archive := tar.NewWriter(output)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: path, Mode: 0o644, Size: int64(len(files[path]))}
		if strings.HasSuffix(path, "/") {
			header.Mode = 0o755
		}
		if err := writeEntry(archive, header, files[path]); err != nil {
			return Summary{}, err
		}
	}
	if err := archive.Close(); err != nil {
		return Summary{}, fmt.Errorf("finish the archive of %s: %w; make room for the output", i.reference, err)
	}
	return summary, nil
}

// files are the archive's contents by path.
func (i *Image) files() (map[string][]byte, Summary, error) {
	manifest, err := i.image.RawManifest()
	if err != nil {
		return nil, Summary{}, err
	}
	descriptor, err := partial.Descriptor(i.image)
	if err != nil {
		return nil, Summary{}, err
	}
	config, err := i.image.ConfigFile()
	if err != nil {
		return nil, Summary{}, err
	}
	rawConfig, err := i.image.RawConfigFile()
	if err != nil {
		return nil, Summary{}, err
	}
	configDigest, err := i.image.ConfigName()
	if err != nil {
		return nil, Summary{}, err
	}
	files := map[string][]byte{
		"blobs/":                nil,
		"blobs/sha256/":         nil,
		"oci-layout":            []byte(ociLayout),
		blob(descriptor.Digest): manifest,
		blob(configDigest):      rawConfig,
	}
	summary := Summary{Reference: i.reference.String(), Digest: descriptor.Digest}
	docker := tarball.Descriptor{Config: blob(configDigest), RepoTags: []string{summary.Reference}}
	layers, err := i.image.Layers()
	if err != nil {
		return nil, Summary{}, err
	}
	for _, layer := range layers {
		digest, content, err := compressed(layer)
		if err != nil {
			return nil, Summary{}, err
		}
		files[blob(digest)] = content
		docker.Layers = append(docker.Layers, blob(digest))
		summary.Size += int64(len(content))
	}
	descriptor.Platform = config.Platform()
	descriptor.Annotations = map[string]string{containerdName: summary.Reference, standardName: i.reference.TagStr()}
	if files["index.json"], err = json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     []v1.Descriptor{*descriptor},
	}); err != nil {
		return nil, Summary{}, err
	}
	files["manifest.json"], err = json.Marshal(tarball.Manifest{docker})
	return files, summary, err
}

func compressed(layer v1.Layer) (v1.Hash, []byte, error) {
	digest, err := layer.Digest()
	if err != nil {
		return v1.Hash{}, nil, err
	}
	reader, err := layer.Compressed()
	if err != nil {
		return v1.Hash{}, nil, err
	}
	defer reader.Close()
	content, err := io.ReadAll(reader)
	return digest, content, err
}

func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// References are the names of the images in an archive, by Docker's table of
// contents.
func References(open func() (io.ReadCloser, error)) ([]string, error) {
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return nil, fmt.Errorf("read manifest.json: %w; make the archive with \"cluster image\" or \"docker save\"", err)
	}
	var references []string
	for _, descriptor := range manifest {
		references = append(references, descriptor.RepoTags...)
	}
	if len(references) == 0 {
		return nil, fmt.Errorf("read manifest.json: the image has no name; save it by its name and tag")
	}
	return references, nil
}
