package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The machines' names in images.
var architectures = map[elf.Machine]string{
	elf.EM_X86_64:  "amd64",
	elf.EM_AARCH64: "arm64",
}

// staticArchitecture refuses what would not start in an image that holds
// nothing else.
func staticArchitecture(binary io.ReaderAt) (string, error) {
	file, err := elf.NewFile(binary)
	if err != nil {
		return "", fmt.Errorf("read its ELF header: %w; give a Linux executable", err)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return "", errors.New("it is linked dynamically and would find no libraries; link it statically (Go: CGO_ENABLED=0, Rust: a musl target)")
		}
	}
	architecture, known := architectures[file.Machine]
	if !known {
		return "", fmt.Errorf("it is for %s; give one for x86-64 or AArch64", file.Machine)
	}
	return architecture, nil
}

// An entry's header, its padding, and the end of the archive.
const tarOverhead = 4 * 512

// layerOf makes the layer that holds the binary and nothing else.
func layerOf(binary []byte, path string, modified time.Time, compress bool) (v1.Layer, error) {
	var content bytes.Buffer
	content.Grow(len(binary) + tarOverhead)
	archive := tar.NewWriter(&content)
	header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o555, Size: int64(len(binary)), ModTime: modified}
	if err := writeEntry(archive, header, binary); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("finish the image's layer: %w; this is a defect, please report it", err)
	}
	if !compress {
		return static.NewLayer(content.Bytes(), types.OCIUncompressedLayer), nil
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(open,
		tarball.WithMediaType(types.OCILayer),
		// Compressed once: the digest and the content come from the same bytes.
		tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("compress the image's layer: %w; this is a defect, please report it", err)
	}
	return layer, nil
}

func writeEntry(archive *tar.Writer, header *tar.Header, content []byte) error {
	header.Format = tar.FormatUSTAR
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("write the archive's entry %s: %w; make room for the output", header.Name, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("write the archive's entry %s: %w; make room for the output", header.Name, err)
	}
	return nil
}
