"""Files whose content in git is not what lies on disk: LFS, filters, submodules."""
