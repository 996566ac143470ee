package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const reference = "docker.io/fairlead/example:1.0"

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	spec := example(t)
	first, second := write(t, spec), write(t, spec)
	if !bytes.Equal(first, second) {
		t.Error("two archives of the same binary differ")
	}
}

func TestTheArchiveIsAnOCILayout(t *testing.T) {
	files := entries(t, write(t, example(t)))
	if string(files["oci-layout"]) != ociLayout {
		t.Errorf("oci-layout holds %q", files["oci-layout"])
	}
	var index v1.IndexManifest
	decode(t, files["index.json"], &index)
	if name := index.Manifests[0].Annotations[containerdName]; name != reference {
		t.Errorf("containerd would name the image %q", name)
	}
	var manifest v1.Manifest
	decode(t, files[blob(index.Manifests[0].Digest)], &manifest)
	if _, found := files[blob(manifest.Config.Digest)]; !found {
		t.Error("the configuration is not in the archive")
	}
	layer := files[blob(manifest.Layers[0].Digest)]
	if digest, _, _ := v1.SHA256(bytes.NewReader(layer)); digest != manifest.Layers[0].Digest {
		t.Error("the layer's content does not have the digest of its name")
	}
}

func TestTheArchiveIsADockerArchive(t *testing.T) {
	archive := write(t, example(t))
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	loaded, err := tarball.Image(open, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := loaded.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Entrypoint; len(got) != 1 || got[0] != "/example" {
		t.Errorf("the entrypoint is %q", got)
	}
	if config.Config.User != "65532:65532" || config.Config.Cmd != nil || config.Config.Env != nil {
		t.Errorf("the configuration is %+v", config.Config)
	}
	references, err := References(open)
	if err != nil || len(references) != 1 || references[0] != reference {
		t.Errorf("the archive's names are %q, %v", references, err)
	}
}

func TestTheImageHoldsNothingButTheBinary(t *testing.T) {
	built, err := Build(example(t))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := built.image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "example" || header.Mode != 0o555 || header.ModTime.Unix() != 0 || header.Uid != 0 {
		t.Errorf("the binary's entry is %+v", header)
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("there is more in the layer: %v", err)
	}
}

func TestSourceDateEpochIsTheTimeOfAllThings(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	built, err := Build(example(t))
	if err != nil {
		t.Fatal(err)
	}
	config, err := built.image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Created.Unix() != 86400 || config.History[0].Created.Unix() != 86400 {
		t.Errorf("created %s, history %s", config.Created, config.History[0].Created)
	}
}

func TestWhatWouldNotRunIsRefused(t *testing.T) {
	noBinary := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(noBinary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Spec){
		"a script":              func(s *Spec) { s.Binary = noBinary },
		"a name without a tag":  func(s *Spec) { s.Reference = "docker.io/fairlead/example" },
		"a name without a host": func(s *Spec) { s.Reference = "example:1.0" },
		"a user by name":        func(s *Spec) { s.User = "nobody" },
		"a nested entrypoint":   func(s *Spec) { s.Entrypoint = "/usr/bin/example" },
	} {
		spec := example(t)
		change(&spec)
		if _, err := Build(spec); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func example(t *testing.T) Spec {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "example")
	if err := os.WriteFile(binary, staticBinary(), 0o755); err != nil {
		t.Fatal(err)
	}
	return Spec{Binary: binary, Reference: reference, User: "65532:65532", Compressed: true}
}

func write(t *testing.T, spec Spec) []byte {
	t.Helper()
	output := filepath.Join(t.TempDir(), "example.tar")
	summary, err := WriteFile(spec, output)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Reference != reference || !strings.HasPrefix(summary.Digest.String(), "sha256:") || summary.Size == 0 {
		t.Errorf("the summary is %+v", summary)
	}
	archive, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func entries(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}
