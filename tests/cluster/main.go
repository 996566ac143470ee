// Command cluster runs real Kubernetes clusters for tests, each in a box of
// namespaces of its own, and writes images of single static binaries.
package main

import (
	"os"
	"runtime"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/command"
	"fairlead.dev/tests/cluster/internal/inside"
)

func main() {
	// The system's programs are not on everybody's search path, least of all in
	// a scheduled job's.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
	if len(os.Args) > 1 && os.Args[1] == box.InitCommand {
		os.Exit(inside.Run())
	}
	// An attached box dies with the thread that started it; this one lives as
	// long as the process.
	runtime.LockOSThread()
	os.Exit(command.Run())
}
