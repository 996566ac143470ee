package image

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile builds the image of spec and writes its archive, wholly or not at
// all.
func WriteFile(spec Spec, output string) (Summary, error) {
	built, err := Build(spec)
	if err != nil {
		return Summary{}, err
	}
	file, err := os.CreateTemp(filepath.Dir(output), filepath.Base(output)+".partial-*")
	if err != nil {
		return Summary{}, fmt.Errorf("create the image archive %s: %w; create its folder", output, err)
	}
	defer os.Remove(file.Name()) // Gone already when all went well.
	defer file.Close()
	summary, err := built.Write(file)
	if err != nil {
		return Summary{}, err
	}
	// Temporary files are for their owner alone; an image is not.
	if err := file.Chmod(0o644); err != nil {
		return Summary{}, fmt.Errorf("make the image archive %s readable: %w; choose another --output", output, err)
	}
	if err := file.Close(); err != nil {
		return Summary{}, fmt.Errorf("finish the image archive %s: %w; make room for it", output, err)
	}
	if err := os.Rename(file.Name(), output); err != nil {
		return Summary{}, fmt.Errorf("put the image archive %s in place: %w; choose another --output", output, err)
	}
	return summary, nil
}
