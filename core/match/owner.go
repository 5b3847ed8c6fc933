package match

// owner marks the nodes that one transaction made and may therefore still
// change in place; every other node is shared and gets copied first. Owners
// are compared by address, so the type must not have size zero.
type owner struct{ _ byte }
