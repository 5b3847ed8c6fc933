// Package state holds what all loops of the host must agree on at once: the
// counters, buckets and breakers of the limiting plugins, in flat tables of
// shared memory that outlive the data process.
//
// # How a table is laid out
//
// A table is an array of groups of 512 bytes: one cache line with a spin word
// and the tags of seven entries, then the seven entries, a line each. A key is
// its 128-bit hash. It lives in one of two groups that the hash names, so a
// lookup reads one line of tags, or two, and the entry's own line.
//
// # Who may change what
//
// The first value word of an entry is the whole truth about the key; every
// decision is one compare-and-swap on it. Where more is stored (the buckets of
// a rolling rate) the further words are each a truth of their own and are only
// added up. Nothing spans two words, so a process that is killed between two
// instructions leaves nothing half done.
//
// Entries are put in and taken out under the spin word of their group, which
// is held for some ten nanoseconds. Taking one out begins by swapping its first
// word for dead, so that a decision on its way fails its own swap and looks
// again: neither side waits for the other. The words carry the time, so a value
// does not come back that somebody could still have in hand.
//
// An entry can be taken out from graceMillis after its expiry. A writer that
// prolongs one stores the new expiry before it swaps the word, a reader loads
// the word before the expiry: who sees an old expiry and takes the entry for
// dead fails to swap the word.
//
// Times are unix milliseconds of the caller's coarse clock. Clocks of loops
// differ by a turn; clocks of processes may be set back. A time that lies
// before a stored one counts as equal to it, or, when it lies so far back that
// the clock must have been set, moves the stored one back.
package state
