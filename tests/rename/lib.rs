//! Nothing: the test beside it is what this package is for.
