// Command kubectl is kubectl alone.
//
// Tests start it thousands of times. In one binary with the servers each start
// would take three times the processor time: every package of theirs prepares
// itself first.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() {
	os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
}
