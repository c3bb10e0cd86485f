"""Everything that needs a GPU, in one call that installs nothing."""
