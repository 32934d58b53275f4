"""The traps of semantics.md section 22, each run by a test that is named after it; the README says where."""
