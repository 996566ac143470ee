package inside

import (
	"context"
	"fmt"
	"time"
)

const pollInterval = 100 * time.Millisecond

// until waits for check to succeed. The command ends the box when its patience
// does; what was missing is then in the box's log.
func until(ctx context.Context, what string, check func(context.Context) error) error {
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
