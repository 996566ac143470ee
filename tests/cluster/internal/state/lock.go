package state

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The name is our own so that a sweep never takes a foreign folder for a
// cluster's.
const lockFile = "box.lock"

// ErrHeld says that a box, or whoever starts or removes one, holds the lock.
var ErrHeld = errors.New("the lock is held")

// Acquire makes the folder if need be and takes its lock, without waiting. The
// lock belongs to the open file: it is passed on to the box by inheritance and
// falls when the last copy is closed, so nobody ever unlocks it.
func (f Folder) Acquire() (*os.File, error) {
	for {
		if err := f.create(); err != nil {
			return nil, err
		}
		lock, err := f.tryLock(unix.LOCK_EX)
		if errors.Is(err, os.ErrNotExist) {
			continue // Swept between the two calls.
		}
		return lock, err
	}
}

func (f Folder) create() error {
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return fmt.Errorf("create the cluster's folder %s: %w; choose another with --state", f, err)
	}
	if f.Exists() {
		return nil
	}
	entries, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look into the cluster's folder %s: %w; choose another with --state", f, err)
	}
	// Somebody else may have just made the lock; anything more is foreign.
	if len(entries) > 0 && !f.Exists() {
		return fmt.Errorf("use %s as a cluster's folder: it holds other files; choose another with --state or --name", f)
	}
	return nil
}

// Exists tells whether this is a cluster's folder, of a living one or not.
func (f Folder) Exists() bool {
	_, err := os.Lstat(f.Path(lockFile))
	return err == nil
}

// Held tells whether somebody holds the lock.
func (f Folder) Held() (bool, error) {
	if !f.Exists() {
		return false, nil
	}
	lock, err := f.tryLock(unix.LOCK_SH)
	switch {
	case errors.Is(err, ErrHeld):
		return true, nil
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, lock.Close()
}

// tryLock returns os.ErrNotExist when the folder went away meanwhile.
func (f Folder) tryLock(how int) (*os.File, error) {
	path := f.Path(lockFile)
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock %s: %w; remove the folder by hand if no cluster uses it", path, err)
	}
	if err := unix.Flock(int(lock.Fd()), how|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrHeld
		}
		return nil, fmt.Errorf("lock %s: %w; choose a --state folder on a local file system", path, err)
	}
	// A sweep may have removed the file we have just locked.
	opened, openedErr := lock.Stat()
	named, namedErr := os.Stat(path)
	if openedErr != nil || namedErr != nil || !os.SameFile(opened, named) {
		lock.Close()
		return nil, os.ErrNotExist
	}
	return lock, nil
}
