//! Path walks: from a string to a place in the tree. Linux's `struct nameidata` and path_resolution(7).
