// Package wait waits for what tells nobody that it has come.
package wait

import (
	"context"
	"fmt"
	"time"
)

const pollInterval = 100 * time.Millisecond

// Until waits for check to succeed. What was missing when the patience ended is
// part of the error.
func Until(ctx context.Context, what string, check func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w (at last: %w)", what, context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
