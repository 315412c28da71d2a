"""Programs that measure, each by itself: `python benchmarks/NAME.py`. Flatland installs a package of this name, too."""
