// Package box is what the command and the box's first process have in common:
// the box's settings, the inherited files, and what they tell each other.
package box

import (
	"time"

	"fairlead.dev/tests/cluster/internal/state"
)

// InitCommand is the hidden command by which the executable runs itself as the
// first process of a box.
const InitCommand = "box"

// The files that the first process inherits.
const (
	// ListenerFile accepts on the host's loopback: a socket stays in the network
	// namespace in which it was made.
	ListenerFile = 3 + iota
	// LockFile holds the folder's lock for as long as the process lives.
	LockFile
	// ControlFile brings the Config, then perhaps Detach. Its end, without
	// Detach, ends the box.
	ControlFile
	// ReportFile takes a Report for every stage.
	ReportFile
)

// Detach, sent on ControlFile, lets the box outlive the command.
const Detach = "detach"

// Config is all that the first process needs to know.
type Config struct {
	Folder state.Folder `json:"folder"`
	// Programs is the folder of the executables that this module builds.
	Programs string     `json:"programs"`
	Spec     state.Spec `json:"spec"`
	// Pid is the first process's pid on the host, which it cannot see itself.
	Pid  int `json:"pid"`
	Port int `json:"port"`
	// Timeout is the patience with the start.
	Timeout time.Duration `json:"timeout"`
}

// Report is one line from the box to the command.
type Report struct {
	// Stage is something that has come up.
	Stage string `json:"stage,omitempty"`
	// Ready is the last report of a start that went well.
	Ready bool `json:"ready,omitempty"`
	// Failed says why the box ends.
	Failed string `json:"failed,omitempty"`
}

// HiddenFolders are empty in a node's box, so that nothing of the host that the
// box needs may be in them.
var HiddenFolders = []string{"/run", "/var/lib", "/var/log"}
