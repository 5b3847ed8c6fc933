package store

import "time"

// SetPace makes the pauses of a client short enough for tests.
func (c *EtcdConfig) SetPace(progress time.Duration, pageKeys int64) {
	c.progressEvery, c.pageKeys = progress, pageKeys
}
