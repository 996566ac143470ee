// Package knative is Knative Eventing in the cluster: its programs, its
// manifests as this cluster needs them, and whether it works.
package knative

import (
	"path"

	"fairlead.dev/tests/cluster/internal/node"
)

// Namespace is the one that the manifests name.
const Namespace = "knative-eventing"

// The prefix by which the manifests name a program as an image.
const sourcePrefix = "ko://knative.dev/eventing/cmd/"

type program struct {
	// path is that of the package, below sourcePrefix.
	path string
	// elects says that it elects a leader unless told not to.
	elects bool
}

// The tool directives in go.mod build these: all that a Broker with in-memory
// channels needs.
var programs = []program{
	{"broker/filter", false},
	{"broker/ingress", false},
	{"controller", true},
	{"in_memory/channel_controller", true},
	{"in_memory/channel_dispatcher", true},
	{"mtchannel_broker", true},
	{"webhook", true},
}

func (p program) image() string {
	return "docker.io/fairlead/knative/" + path.Base(p.path) + ":built"
}

// Images returns the names of the programs' images; node.Binary tells the
// executable in each.
func Images() []string {
	var images []string
	for _, program := range programs {
		images = append(images, program.image())
	}
	return images
}

// Binaries returns the names of the executables.
func Binaries() []string {
	var binaries []string
	for _, image := range Images() {
		binaries = append(binaries, node.Binary(image))
	}
	return binaries
}
