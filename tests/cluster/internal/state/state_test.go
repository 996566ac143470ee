package state

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestASweepRemovesTheDeadAndLeavesTheLiving(t *testing.T) {
	root := t.TempDir()
	dead, living := folder(t, root, "dead"), folder(t, root, "living")
	acquire(t, dead).Close()
	write(t, dead.Path("logs"))
	defer acquire(t, living).Close()
	foreign := filepath.Join(root, "foreign", "file")
	if err := os.Mkdir(filepath.Dir(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, foreign)

	if err := Sweep(root, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(dead)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead cluster's folder is still there: %v", err)
	}
	if !living.Exists() {
		t.Error("the living cluster's folder is gone")
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a foreign file is gone: %v", err)
	}
}

func TestTheLockIsHeldUntilTheLastCopyIsClosed(t *testing.T) {
	f := folder(t, t.TempDir(), "shared")
	lock := acquire(t, f)
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{lock}
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if held, err := f.Held(); !held || err != nil {
		t.Errorf("held by a child: %v, %v", held, err)
	}
	if _, err := f.Acquire(); !errors.Is(err, ErrHeld) {
		t.Errorf("acquired beside a child: %v", err)
	}
	input.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if held, err := f.Held(); held || err != nil {
		t.Errorf("held by nobody: %v, %v", held, err)
	}
}

func TestAForeignFolderIsNotTaken(t *testing.T) {
	root := t.TempDir()
	f := folder(t, root, "documents")
	if err := os.Mkdir(string(f), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, f.Path("letter"))
	if _, err := f.Acquire(); err == nil {
		t.Error("a folder with foreign files was taken for a cluster's")
	}
}

func TestAReusedPidIsNotKilled(t *testing.T) {
	child := exec.Command("cat")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	process, err := Identify(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := Process{Pid: process.Pid, StartTime: process.StartTime - 1}
	if err := earlier.Kill(time.Second); err != nil {
		t.Fatal(err)
	}
	if !process.Alive() {
		t.Error("a process was killed for another that had its pid before")
	}
	input.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("the process did not end by itself: %v", err)
	}
	if process.Alive() {
		t.Error("an ended process passes for alive")
	}
}

func TestNamesThatAreNoNamesAreRefused(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "A", "-a", "a-"} {
		if _, err := For(t.TempDir(), name); err == nil {
			t.Errorf("%q passes for a name", name)
		}
	}
}

func folder(t *testing.T, root, name string) Folder {
	t.Helper()
	f, err := For(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func acquire(t *testing.T, f Folder) *os.File {
	t.Helper()
	lock, err := f.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
}
