package state

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

const recordFile = "box.json"

// Spec is what was asked for.
type Spec struct {
	// Node: with a kubelet, so that pods run; otherwise the control plane alone.
	Node              bool   `json:"node"`
	ControllerManager bool   `json:"controllerManager"`
	AuditLog          string `json:"auditLog,omitempty"`
}

// Record is what is known about a box. It speaks of a living box only while the
// folder's lock is held.
type Record struct {
	Process
	Spec    Spec      `json:"spec"`
	Port    int       `json:"port"`
	Started time.Time `json:"started"`
	// Ready is set when everything asked for has come up.
	Ready bool `json:"ready"`
}

// Write replaces the record at once or not at all.
func (f Folder) Write(record Record) error {
	text, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record of cluster %s: %w; this is a defect, please report it", f.Name(), err)
	}
	partial := f.Path(recordFile + ".partial")
	if err := os.WriteFile(partial, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the record %s: %w; make room or choose another --state folder", partial, err)
	}
	if err := os.Rename(partial, f.Path(recordFile)); err != nil {
		return fmt.Errorf("put the record of cluster %s in place: %w; choose another --state folder", f.Name(), err)
	}
	return nil
}

// Read returns the record; os.ErrNotExist while the box is not yet known.
func (f Folder) Read() (Record, error) {
	var record Record
	text, err := os.ReadFile(f.Path(recordFile))
	if err != nil {
		return record, fmt.Errorf("read the record of cluster %s: %w; start it with: cluster up --name %s", f.Name(), err, f.Name())
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return record, fmt.Errorf("read the record %s: %w; run: cluster down --name %s", f.Path(recordFile), err, f.Name())
	}
	return record, nil
}
