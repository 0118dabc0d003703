//! Who holds which post, and who a slot leads to on a given day.
