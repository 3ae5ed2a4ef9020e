"""The models of this project, one file each."""
