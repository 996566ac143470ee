package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/tests/cluster/internal/cgroup"
)

// A killed box takes its processes along within a second; a loaded machine
// gets the benefit of the doubt.
const killPatience = 30 * time.Second

// Clear removes all that an earlier box left in the folder and in the cgroup
// tree. The caller holds the lock and keeps it.
func (f Folder) Clear() error {
	// The lock falls when the box's first process begins to die, a moment
	// before the last of its processes is gone.
	if record, err := f.Read(); err == nil {
		if err := record.WaitGone(killPatience); err != nil {
			return err
		}
		if err := cgroup.Remove(cgroup.Name(record.Pid)); err != nil {
			return err
		}
	}
	return f.empty()
}

// Remove clears the folder and removes it. The caller holds the lock.
func (f Folder) Remove() error {
	if err := f.Clear(); err != nil {
		return err
	}
	if err := os.Remove(f.Path(lockFile)); err != nil {
		return fmt.Errorf("remove the lock of cluster %s: %w; remove %s by hand", f.Name(), err, f)
	}
	// Not empty means that somebody has begun a new cluster of this name.
	if err := os.Remove(string(f)); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the folder of cluster %s: %w; remove it by hand", f.Name(), err)
	}
	return nil
}

// Kill ends the box that holds the lock, if its record is there by now.
func (f Folder) Kill() error {
	record, err := f.Read()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return record.Process.Kill(killPatience)
}

// Sweep removes the remains of every dead box below root, but leaves keep
// alone. Whoever holds a lock is alive, or is being started or removed.
func Sweep(root string, keep Folder) error {
	locks, err := filepath.Glob(filepath.Join(root, "*", lockFile))
	if err != nil {
		return fmt.Errorf("list the clusters in %s: %w; choose another --state folder", root, err)
	}
	for _, path := range locks {
		folder := Folder(filepath.Dir(path))
		if folder == keep {
			continue
		}
		if err := folder.sweep(); err != nil {
			return err
		}
	}
	return cgroup.Sweep(livingInit)
}

func (f Folder) sweep() error {
	lock, err := f.Acquire()
	if errors.Is(err, ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	return f.Remove()
}
