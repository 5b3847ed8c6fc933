package proc

import "errors"

// ErrNoQuery says that the data process does not know the question's name.
var ErrNoQuery = errors.New("no such query")

// ErrNotRunning says that no data process is there to answer.
var ErrNotRunning = errors.New("no data process is running")

var errTooLarge = errors.New("the object is too large for the data process (id up to 64 KiB, value up to 32 MiB)")

// ErrNoControl says that no control process answers in the run directory.
var ErrNoControl = errors.New("no control process")
