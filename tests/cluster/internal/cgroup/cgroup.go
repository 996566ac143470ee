// Package cgroup makes and removes the cgroups of a node. They are all that
// outlives a killed box, as empty folders.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	mount  = "/sys/fs/cgroup"
	prefix = "fairlead-"
)

// Name is the cgroup of the box whose first process has this pid on the host.
func Name(pid int) string { return prefix + strconv.Itoa(pid) }

// unified tells whether the machine has cgroup v2 only. Version 2 has not been
// tried: it is written by its documentation.
func unified() bool {
	_, err := os.Stat(filepath.Join(mount, "cgroup.controllers"))
	return err == nil
}

// hierarchies lists the roots that a kubelet looks at: the only one of version
// 2, or every mounted one of version 1, whatever it is for.
func hierarchies() ([]string, error) {
	if unified() {
		return []string{mount}, nil
	}
	entries, err := os.ReadDir(mount)
	if err != nil {
		return nil, fmt.Errorf("list the cgroup hierarchies in %s: %w; mount the cgroup file systems", mount, err)
	}
	var roots []string
	for _, entry := range entries {
		if entry.IsDir() { // Symbolic links name another one again.
			roots = append(roots, filepath.Join(mount, entry.Name()))
		}
	}
	return roots, nil
}

// Create makes the cgroup in every hierarchy. Without one of its own, two
// kubelets on one machine delete each other's pods.
func Create(name string) error {
	if err := Remove(name); err != nil {
		return err
	}
	if unified() {
		control := filepath.Join(mount, "cgroup.subtree_control")
		if err := os.WriteFile(control, []byte("+cpu +cpuset +memory +pids"), 0); err != nil {
			return fmt.Errorf("enable the cgroup controllers in %s: %w; enable cpu, cpuset, memory and pids there", control, err)
		}
	}
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			return fmt.Errorf("create the cgroup %s in %s: %w; run as root with a writable cgroup file system", name, root, err)
		}
	}
	return nil
}

// Remove removes the cgroup, if it is there, from every hierarchy.
func Remove(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return nil // No cgroups here: no node has run, a control plane may.
	}
	for _, root := range roots {
		if err := removeTree(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// Sweep removes the cgroups of boxes whose first process is gone. They belong
// to root, and so does their removal.
func Sweep(alive func(pid int) bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	roots, err := hierarchies()
	if err != nil {
		return nil
	}
	for _, root := range roots {
		found, _ := filepath.Glob(filepath.Join(root, prefix+"*")) // The pattern is well formed.
		for _, path := range found {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), prefix))
			if err != nil || alive(pid) {
				continue
			}
			if err := removeTree(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeTree removes depth first. The files in a cgroup are not removed, only
// its folders.
func removeTree(root string) error {
	var folders []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // Another sweep is at it.
		}
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list the cgroup %s: %w; remove it by hand, depth first", root, err)
	}
	for _, folder := range slices.Backward(folders) {
		if err := removeFolder(folder); err != nil {
			return fmt.Errorf("remove the cgroup %s: %w; end the processes in its cgroup.procs, then run the command again", folder, err)
		}
	}
	return nil
}

// The kernel counts a dead process as a member for a moment longer.
const emptyPatience = 5 * time.Second

func removeFolder(folder string) error {
	deadline := time.Now().Add(emptyPatience)
	for {
		err := os.Remove(folder)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
