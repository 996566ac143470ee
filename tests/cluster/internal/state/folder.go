// Package state keeps what is known about each cluster in a folder of its own,
// and tells the living from the dead by a lock that dies with its holder.
package state

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Names become parts of paths, of the kubeconfig and of process titles.
var nameShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// Folder is the folder of one cluster.
type Folder string

// DefaultRoot is the folder "clusters" beside the folder of the executable, so
// that a checkout's clusters are found again from any working directory.
func DefaultRoot() (string, error) {
	executable, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the folder of this executable: %w; name one with --state", err)
	}
	return filepath.Join(filepath.Dir(filepath.Dir(executable)), "clusters"), nil
}

// For returns the folder of the cluster called name below root.
func For(root, name string) (Folder, error) {
	if !nameShape.MatchString(name) {
		return "", fmt.Errorf("cluster name %q: use lower case letters, digits and inner hyphens, at most 40", name)
	}
	absolute, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("make the state folder %s absolute: %w; name it in full with --state", root, err)
	}
	return Folder(filepath.Join(absolute, name)), nil
}

// Name is the cluster's name.
func (f Folder) Name() string { return filepath.Base(string(f)) }

// Path is a path inside the folder.
func (f Folder) Path(elements ...string) string {
	return filepath.Join(append([]string{string(f)}, elements...)...)
}

// Kubeconfig is the file for clients on the host.
func (f Folder) Kubeconfig() string { return f.Path("kubeconfig") }

// Log is the log file of one process.
func (f Folder) Log(process string) string { return f.Path("logs", process+".log") }

// empty removes everything but the lock, which the caller holds.
func (f Folder) empty() error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return fmt.Errorf("list the remains in %s: %w; remove the folder by hand", f, err)
	}
	for _, entry := range entries {
		if entry.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(f.Path(entry.Name())); err != nil {
			return fmt.Errorf("remove the remains %s: %w; remove them by hand", f.Path(entry.Name()), err)
		}
	}
	return nil
}
